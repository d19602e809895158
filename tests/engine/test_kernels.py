"""The GPU's own kernels against torch, run by Triton's interpreter on the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NORMS = """
import torch
from kolors_submit.engine.norm import _NormSilu, plain_norm_silu

# Sizes that no block divides, with and without what is added before and SiLU after.
for shape, plus in (((2, 96, 5, 7), True), ((1, 64, 9, 9), False), ((2, 160, 12, 10), True)):
    pictures = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    norm = torch.nn.GroupNorm(32, shape[1]).requires_grad_(False)
    norm.weight.normal_(), norm.bias.normal_()
    shift = torch.randn(shape[:2]) if plus else None
    ours = _NormSilu.apply(pictures, norm.weight, norm.bias, shift, norm.num_groups, norm.eps, plus)
    plain = plain_norm_silu(pictures, norm, shift, silu=plus)
    gradient = torch.randn(shape)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    both = (torch.autograd.grad(result, pictures, gradient)[0] for result in (ours, plain))
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-4)
"""

MERGING = """
import torch
from kolors_submit.engine.eightbit import in_8_bits
from kolors_submit.engine.merge import merge, merge_by_kernel

for blocks, layers, out, rank, width in ((2, 3, 70, 4, 66), (1, 1, 64, 16, 130), (2, 2, 65, 72, 64)):
    weights, down = torch.randn(blocks, layers * out, width), torch.randn(blocks, layers * rank, width)
    up = torch.randn(blocks, layers, out, rank)
    for held in ((weights, None), in_8_bits(weights)):
        ours, plain = (function(*held, down, up, 0.5) for function in (merge_by_kernel, merge))
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
"""

BRANCHES = """
import torch
from kolors_submit.engine.residual import _Added, plain_add_branches

for shape in ((2, 96, 5, 7), (1, 64, 33, 64)):
    skipped, inside = (torch.randn(shape).requires_grad_() for _ in range(2))  # of either layout
    bias = torch.randn(shape[1])
    ours, plain = (function(skipped, inside, bias) for function in (_Added.apply, plain_add_branches))
    torch.testing.assert_close(ours, plain)
    gradient = torch.randn(shape)
    for result in (ours, plain):
        assert all(torch.equal(found, gradient) for found in torch.autograd.grad(result, (skipped, inside), gradient))
"""


@pytest.mark.parametrize("program", [NORMS, MERGING, BRANCHES], ids=["norms", "merging", "branches"])
def test_kernels_compute_what_torch_does(program: str) -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}  # read when the kernels are defined
    command = [sys.executable, "-W", "ignore", "-c", f"import torch; torch.manual_seed(0)\n{program}"]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
