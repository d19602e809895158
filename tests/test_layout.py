"""The rules of the layout: imports run one way, looking at files needs no torch, help is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.clock import idle_seconds

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kolors_submit"
HELP_SECONDS = 0.3

# From the top of the design's order to the bottom; a module imports from its own layer only what `BESIDE` allows.
LAYERS = (
    ("cli", "__main__"),
    ("submission", "before", "stale", "publish", "reproduce", "importing", "explore", "compare", "doctor", "write"),
    ("data", "train", "render", "score", "bundle"),
    ("panels", "owner"),
    (
        "engine",
        "metrics",
        "export",
        "picturebook",
        "picture",
        "sheet",
        "fonts",
        "locked_packages",
        "environment",
    ),
    ("weights", "endpoint"),
    ("hub",),
    ("story", "run", "hold", "report", "device", "cards", "container", "meter"),
    ("interrupt", "threads", "children", "files", "text", "pages", "decoders", "base_names"),
    ("errors",),
)
BESIDE = {
    ("__main__", "cli"),
    ("submission", "before"),
    ("submission", "stale"),
    ("train", "data"),  # read_prepared: how training reads what the data stage wrote
    ("export", "engine"),
    ("metrics", "engine"),
    ("picturebook", "engine"),
    ("picture", "export"),
    ("locked_packages", "environment"),
    ("run", "hold"),
    ("report", "device"),
    ("report", "meter"),
    ("device", "cards"),
    ("device", "container"),
    ("threads", "interrupt"),
    ("children", "interrupt"),
}
"""What imports what of its own layer; of the stages nothing else does, they meet in the run folder."""


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def part_of(path: Path) -> str:
    """The part of the package that a module belongs to: its first folder, or its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST, *, types: bool = True) -> set[str]:
    """Dotted names that a module imports anywhere in it; without `types`, not what only the type checker reads."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and not types and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # Relative imports stay inside their part; the next test sees to that.
            names |= {f"{node.module}.{alias.name}" for alias in node.names if node.level == 0}
    return names


def parts_imported(path: Path) -> set[str]:
    names = imported(ast.parse(path.read_text("utf-8")), types=False)
    return {name.split(".")[1] for name in names if name.startswith("kolors_submit.")} - {"__version__"}


def layer_of(part: str) -> int:
    for number, layer in enumerate(LAYERS):
        if part in layer:
            return number
    raise AssertionError(f"{part} stands in no layer of tests/test_layout.py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    part = part_of(path)
    if part == "__init__":
        assert parts_imported(path) == set()
        return
    for other in parts_imported(path) - {part}:
        assert layer_of(part) <= layer_of(other), f"{part} imports {other}, which stands above it"
        if layer_of(part) == layer_of(other):
            assert (part, other) in BESIDE, f"{part} imports {other}, which stands beside it"


def test_what_stands_beside_imports_one_way_too():
    order = TopologicalSorter[str]()
    for part, other in BESIDE:
        assert layer_of(part) == layer_of(other)
        order.add(part, other)
    order.prepare()  # raises CycleError


def test_relative_imports_stay_inside_their_part():
    for path in modules():
        depth = len(path.relative_to(PACKAGE).parts) - 1
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert not isinstance(node, ast.ImportFrom) or node.level <= depth, path


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_engine_imports_diffsynth(path):
    names = {name.split(".")[0] for name in imported(ast.parse(path.read_text("utf-8")), types=False)}
    if part_of(path) not in ("engine", "picturebook"):
        assert "diffsynth" not in names


def test_no_module_trusts_remote_code_or_pickles():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert ast.unparse(node.value) == "False", path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords), path


def test_no_picture_reaches_all_of_pillows_decoders():
    """`Image.open` without formats starts Ghostscript for an EPS; `decoders.open_picture` opens any other kind."""
    own = {"train/cache.py", "picturebook/paint.py"}  # what the data stage wrote, what was drawn in memory
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                named = any(keyword.arg == "formats" for keyword in node.keywords)
                assert named or str(path.relative_to(PACKAGE)) in own, path


@pytest.mark.parametrize(
    "program",
    [
        "import kolors_submit",
        "import kolors_submit.cli, kolors_submit.submission, kolors_submit.compare, kolors_submit.doctor",
        "from kolors_submit.cli import run; assert run(['--help']) == 0",
        "from kolors_submit.cli import run; assert run(['story', 'check', 'stories/watercolor.yaml']) == 0",
        "from kolors_submit.cli import run; run(['check', 'stories'])",
        "from kolors_submit.cli import run; run(['doctor', '--offline'])",
        "import kolors_submit.bundle.check, kolors_submit.bundle.pack",
        "import kolors_submit.publish, kolors_submit.hub.modelscope, kolors_submit.hub.huggingface",
        "import kolors_submit.reproduce, kolors_submit.importing, kolors_submit.explore",
        "import kolors_submit.data, kolors_submit.train, kolors_submit.render, kolors_submit.score",
    ],
)
def test_a_fresh_process_imports_no_torch(program):
    heavy = "{'torch', 'diffsynth', 'transformers', 'lightning', 'peft', 'datasets', 'data_juicer', 'modelscope'}"
    check = f"{program}\nimport sys; found = {heavy} & set(sys.modules); assert not found, found"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr


def test_help_answers_at_once():
    """The best of up to ten: a neighbour also slows a processor's caches, and the disk."""
    command = [sys.executable, "-m", "kolors_submit", "--help"]
    assert any(idle_seconds(command, ROOT)[0] <= HELP_SECONDS for _ in range(10))


def test_every_public_part_is_in_a_layer():
    known = {part for layer in LAYERS for part in layer}
    assert {part_of(path) for path in modules()} - {"__init__"} <= known
