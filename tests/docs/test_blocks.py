"""What the pages show works: Python runs, commands parse, files load, the README's diff trains."""

from __future__ import annotations

import shlex
import sys
import types
from pathlib import Path

import pytest
import torch
import typer
import yaml
from docs_blocks import IDS, PAGES, ROOT, blocks

from secateur import Recipe
from secateur.cli import app
from secateur.core import component as registry
from secateur.lab import Experiment, Sweep
from secateur.methods import METHODS

NEEDS = {
    "huggingface": "accelerate",
    "experiments": "accelerate",
    "tickets": "accelerate",
    "shrink": "transformers",
    "report": "matplotlib",
    "sweep": "accelerate",
    "own-score": "accelerate",
}


@pytest.fixture
def page_namespace(monkeypatch, tmp_path):
    """A module to run a page's blocks in; components and methods a page defines are forgotten afterwards."""
    monkeypatch.setattr(registry, "_REGISTRY", {axis: dict(known) for axis, known in registry._REGISTRY.items()})
    before = dict(METHODS)
    module = types.ModuleType("a_page_of_the_documentation")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    yield module.__dict__
    METHODS.clear()
    METHODS.update(before)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: str(p.relative_to(ROOT)))
@pytest.mark.filterwarnings("ignore:`torch.jit.*:DeprecationWarning")  # torch.distributed brings it up by itself
def test_python_runs(page, page_namespace):
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem])
    ran = 0
    for block in blocks(page, "python"):
        if block.run and not block.included:
            code = "\n" * (block.line - 1) + block.text  # so that a traceback names the page's own line
            exec(compile(code, str(page), "exec", dont_inherit=True), page_namespace)
            ran += 1
    assert ran or all(b.included for b in blocks(page, "python"))


def test_the_readmes_diff_trains(page_namespace):
    (diff,) = blocks(ROOT / "README.md", "diff")
    lines = diff.text.splitlines()
    assert all(line[0] in "+ " for line in lines)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    batches = [(torch.randn(4, 8), torch.randint(3, (4,)))] * 1000
    page_namespace.update(torch=torch, model=model, batches=batches, optimizer=torch.optim.SGD(model.parameters(), lr=0.01))
    exec("\n".join(line[1:] for line in lines if line[0] == " "), page_namespace)  # the user's own loop is one
    assert int((model[0].weight == 0).sum()) == 0
    exec("\n".join(line[1:] for line in lines), page_namespace)
    assert int((model[0].weight == 0).sum()) == round(0.9 * 128)


def commands(page: Path) -> list[list[str]]:
    found = []
    for block in blocks(page, "console"):
        for line in block.text.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                found.append(words)
    return found


ALL = [(i, words) for page, i in zip(PAGES, IDS, strict=True) for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), ALL, ids=[f"{i}: {' '.join(w)}" for i, w in ALL])
def test_commands_parse(page, words):
    tool, arguments = Path(words[0]).name, words[1:]
    if tool == "secateur":
        parses(arguments)
    elif tool == "make":
        makefile = ROOT / "Makefile"
        if not makefile.exists():
            pytest.skip("no Makefile in this checkout")
        for target in arguments:
            assert f"\n{target}:" in "\n" + makefile.read_text(encoding="utf-8"), f"make has no target {target!r}"
    elif tool == "python":
        assert (ROOT / arguments[0]).is_file()
    else:
        assert tool in ("pip", "python3"), f"an unknown command is shown: {tool}"


def parses(arguments):
    """As the command line reads them, without doing the work."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(command.name, list(arguments))


def test_a_wrong_command_does_not_parse():
    with pytest.raises(Exception, match="--no-such-option"):
        parses(["demo", "--no-such-option"])
    with pytest.raises(KeyError):
        parses(["prune-everything"])


YAML = [(i, b) for page, i in zip(PAGES, IDS, strict=True) for b in blocks(page, "yaml")]


@pytest.mark.parametrize(("page", "block"), YAML, ids=[f"{i}:{b.line}" for i, b in YAML])
def test_yaml_is_a_sweep_an_experiment_or_a_recipe(page, block):
    fields = yaml.safe_load(block.text)
    kind = Sweep if "networks" in fields else Experiment if "task" in fields else Recipe
    loaded = kind.from_dict(fields)
    assert type(loaded).from_dict(loaded.to_dict()) == loaded
