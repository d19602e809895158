"""What torch.compile does while a GPU computes: Triton needs a C compiler, the C headers and Python.h."""

from __future__ import annotations

import shutil

import pytest
import torch
import triton
import triton.language as tl
from diffsynth.models.attention import Attention
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.driver import include_dirs
from triton.runtime.build import compile_module_from_src

LAUNCHER = """
#include <Python.h>
#include <cuda.h>
static PyObject *version(PyObject *self, PyObject *arguments) { return PyLong_FromLong(CUDA_VERSION); }
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "launcher", NULL, -1, methods};
PyMODINIT_FUNC PyInit_launcher(void) { return PyModule_Create(&module); }
"""

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed here")


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))


@triton.jit
def silu(source, target, count, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(source + place, mask=place < count)
    tl.store(target + place, value * tl.sigmoid(value), mask=place < count)


@needs_compiler
def test_triton_compiles_a_kernel_and_what_launches_it():
    """Both need no GPU: machine code for one (sm_80), and C with Python's and CUDA's headers, loaded at once."""
    source = triton.compiler.ASTSource(silu, {"source": "*fp32", "target": "*fp32", "count": "i32"}, {"BLOCK": 128})
    kernel = triton.compile(source, target=GPUTarget("cuda", 80, 32))
    assert kernel.asm["cubin"].startswith(b"\x7fELF")
    launcher = compile_module_from_src(LAUNCHER, "launcher", include_dirs=include_dirs)
    assert launcher.version() // 1000 == 12


@needs_compiler
@pytest.mark.gpu
def test_one_attention_block_compiles_and_gives_the_same():
    torch.manual_seed(0)
    block = Attention(64, 4, 16).to("cuda")
    hidden = torch.randn(2, 77, 64, device="cuda")
    with torch.no_grad():
        expected = block(hidden)
        compiled = torch.compile(block, fullgraph=True)(hidden)
    torch.testing.assert_close(compiled, expected, rtol=1e-3, atol=1e-4)
