"""The house rules: who may import whom, what is public, how much a room holds, and what importing costs."""

from __future__ import annotations

import ast
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import secateur
from secateur.core.component import AXES, choices

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "secateur"
FILES = sorted(SOURCE.rglob("*.py"))

PUBLIC = [
    "Bytes", "Compression", "DataError", "DependencyError", "FormatError", "Latency", "Macs", "ModelError", "Params", "Pipeline",
    "Pruner", "Recipe", "RecipeError", "RunError", "SecateurError", "Share", "Sharer", "Sparsity", "compile", "compress",
    "explain", "load", "measure", "prune_", "reach", "save", "shrink_",
]  # fmt: skip

AXIS = set(AXES)
SENTENCE = {"recipe", "pipeline", "goal", "units", "prune", "pruner", "sharer", "reachable"}
TENSORS = {"codec", "graph", "runtime"}  # see tensors, modules and masks, never an axis
MAY_IMPORT = {
    "core": {"core"},
    **{axis: {"core", axis} for axis in AXES},
    **{room: {"core"} | TENSORS for room in TENSORS},
    "goal": {"core"},
    "recipe": {"core"} | AXIS,
    "units": {"core", "goal", "recipe"} | AXIS | TENSORS,
    "pruner": {"core", "goal", "recipe", "units"} | AXIS,
    "prune": {"core", "goal", "pruner", "recipe"},
    "reachable": {"core", "pruner", "recipe"},
    "sharer": {"codec", "core"},
    "pipeline": {"codec", "core", "recipe"},
}
TRAINING = {"core", "methods", "training"} | AXIS | SENTENCE | TENSORS
MAY_IMPORT |= {"training": TRAINING, "methods": TRAINING - {"training"}, "testing": TRAINING | {"testing"}}
LAB = TRAINING | {"evaluate", "lab", "integrations", "__init__"}
MAY_IMPORT |= {
    "evaluate": LAB - {"lab"},
    "lab": LAB,
    "integrations": LAB,
    "cli": LAB | {"cli", "testing"},
    "__init__": SENTENCE | {"core"},
}


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules of this package a file imports, as paths from its root, and whether at the file's top level."""
    package = path.relative_to(SOURCE.parent).parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(p for p in (base, node.module or "") if p)
            names = [f"{module}.{a.name}" for a in node.names] if module == "secateur" else [module]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "secateur":
                yield name.removeprefix("secateur").lstrip("."), node in tree.body


def target_room(imported: str) -> str:
    first = imported.split(".")[0]
    known = {room_of(p) for p in FILES}
    return first if first in known else "__init__"


@pytest.mark.parametrize("room", sorted({room_of(p) for p in FILES}))
def test_who_may_import_whom(room):
    assert room in MAY_IMPORT, f"a new room: say in MAY_IMPORT what {room!r} may import"
    wrong = []
    for path in (p for p in FILES if room_of(p) == room):
        for imported, top in imports(path):
            to = target_room(imported)
            lazy_public = room == "__init__" and not top
            if to != room and to not in MAY_IMPORT[room] and not lazy_public:
                wrong.append(f"{path.relative_to(ROOT)} imports {imported or 'secateur'}")
    assert not wrong, "\n".join(wrong)


def test_the_import_graph_sees_what_it_should():
    """The rule is only as good as its reader."""
    assert ("core.select", True) in imports(SOURCE / "allocation" / "uniform.py")
    assert {"structure", "score", "allocation", "schedule", "recovery"} <= {i for i, _ in imports(SOURCE / "recipe.py")}
    assert ("core.show", False) in imports(SOURCE / "pruner.py")
    assert "pruner" not in {i for i, _ in imports(SOURCE / "core" / "show.py")}, "for types alone"


def test_one_choice_one_file():
    """Each choice lives in its axis's package; variants that differ in one constant may share their file."""
    for axis in AXES:
        for name, cls in choices(axis).items():
            if not cls.__module__.startswith("secateur."):
                continue
            assert cls.__module__.startswith(f"secateur.{axis}."), f"{name} lives in {cls.__module__}"
            stem = cls.__module__.rsplit(".", 1)[1].rstrip("_")
            parents = [p.__name__.lower() for p in cls.__mro__]
            assert stem.replace("_", "") in parents, f"{name} lives in {stem}.py"


def test_the_public_names():
    assert secateur.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC
    for name in PUBLIC:
        assert getattr(secateur, name).__name__ == name
    assert set(PUBLIC) <= set(dir(secateur))
    with pytest.raises(AttributeError, match="module 'secateur' has no attribute 'prun_'"):
        secateur.prun_  # noqa: B018


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_rooms_are_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, "a file holds one thing: 400 lines at most"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines; 60 at most"
    assert "NotImplementedError" not in text, "what is not there is not promised"


def test_most_rooms_fit_a_screen():
    assert statistics.median(p.read_text(encoding="utf-8").count("\n") for p in FILES) <= 120


def test_no_path_of_a_workplace_is_committed():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    places = [f"/{place}/".encode() for place in ("work", "tmp")]
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            found += [f"{name}: {p.decode()}" for p in places if p in path.read_bytes()]
    assert not found, "\n".join(found)


# ---------------------------------------------------------------- what importing costs

HEAVY = {
    "yaml", "rich", "typer", "transformers", "accelerate", "matplotlib", "sklearn", "llvmlite", "ray", "jinja2", "PIL", "pooch",
    "lightning", "onnx", "torchvision", "timm", "scipy", "pyarrow",
}  # fmt: skip

NEW_MODULES = """
import sys, json, torch
before = set(sys.modules)
import secateur
roots = {m.split('.')[0] for m in set(sys.modules) - before}
print(json.dumps([sorted(roots), torch.cuda.is_initialized()]))
"""


def python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout


def test_importing_needs_torch_alone():
    """Nothing beyond what torch itself imports, and no CUDA context."""
    extra, cuda = json.loads(python(NEW_MODULES))
    assert not set(extra) & HEAVY
    assert {m for m in extra if m not in sys.stdlib_module_names} <= {"secateur", "torch", "typing_extensions"}
    assert cuda is False


def test_importing_is_quick():
    """Less than 1.5 × torch's own import: the median of alternating fresh processes."""
    clock = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    torch_alone, ours = [], []
    for _ in range(5):
        torch_alone.append(float(python(clock.format("torch"))))
        ours.append(float(python(clock.format("secateur"))))
    assert statistics.median(ours) < 1.5 * statistics.median(torch_alone)
