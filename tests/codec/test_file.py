from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from codec_strategies import bits, positive_zeros, tensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

from secateur.codec import file_size, inspect_file, load, read_metadata, save
from secateur.codec import write as write_module
from secateur.core.errors import FormatError, ModelError, RunError


class Bag(nn.Module):
    """A module whose state is the tensors given."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def like(self) -> Bag:
        return Bag(**{n: torch.ones_like(t) for n, t in self.named_buffers()})


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 10))


def pruned() -> nn.Sequential:
    torch.manual_seed(0)
    model = net()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p *= torch.rand_like(p) < 0.1  # leaves zeros of both signs
    return model.eval()


def same_state(a: nn.Module, b: nn.Module) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(v, right[k]) for k, v in left.items())


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=tensors(), b=tensors())
def test_a_round_trip_is_exact(tmp_path: Path, a: torch.Tensor, b: torch.Tensor) -> None:
    model = Bag(a=a, b=b)
    save(model, tmp_path / "m")
    back = load(tmp_path / "m", model.like())
    for row in inspect_file(tmp_path / "m"):
        mine, its = getattr(model, row.name), getattr(back, row.name)
        expected = mine if row.layout == "dense" else positive_zeros(mine)
        assert its.dtype == mine.dtype
        assert torch.equal(bits(its), bits(expected))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn, torch.uint16])
def test_other_types_are_stored_dense(tmp_path: Path, dtype: torch.dtype) -> None:
    model = Bag(a=torch.tensor([0, 1, 2] * 100).to(dtype))
    save(model, tmp_path / "m")
    back = load(tmp_path / "m", Bag(a=torch.zeros(300).to(dtype)))
    assert torch.equal(bits(back.a), bits(model.a))
    assert [(r.layout, r.nonzero) for r in inspect_file(tmp_path / "m")] == [("dense", 200)]


def test_masked_is_saved_and_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = net().eval(), torch.randn(3, 1, 8, 8)
    masks = {n: torch.rand_like(p) < 0.1 for n, p in model.named_parameters() if p.dim() > 1}
    before = {k: v.clone() for k, v in model.state_dict().items()}
    save(model, tmp_path / "m", masks=masks)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    back = load(tmp_path / "m", net()).eval()
    with torch.no_grad():
        for n, p in model.named_parameters():
            p *= masks.get(n, 1)
    assert same_state(model, back)
    assert torch.equal(model(x), back(x))


def test_ninety_percent_zeros_take_a_seventh_of_the_bytes(tmp_path: Path) -> None:
    model = nn.Linear(1000, 1000)
    with torch.no_grad():
        model.weight *= torch.rand_like(model.weight) < 0.1
    save(model, tmp_path / "m")
    assert (tmp_path / "m").stat().st_size == pytest.approx(1_000_000 / 8 + 400_000, rel=0.03)
    assert file_size(model) == (tmp_path / "m").stat().st_size


def test_safetensors_alone_opens_it(tmp_path: Path) -> None:
    model = pruned()
    save(model, tmp_path / "m")
    found = safetensors.torch.load_file(tmp_path / "m")
    assert torch.equal(found["0.bias"], model[0].bias)
    assert found["3.weight.bitmask"].dtype == torch.uint8
    assert found["3.weight.nonzero"].numel() == model[3].weight.count_nonzero()
    with safe_open(tmp_path / "m", "pt") as f:
        assert json.loads(f.metadata()["secateur"])["format_version"] == "1"


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        save(pruned(), tmp_path / name, metadata={"x": "1", "y": "2"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_metadata_and_a_recipe_are_kept(tmp_path: Path) -> None:
    class Recipe:
        def to_dict(self) -> dict[str, int]:
            return {"version": 1}

    save(pruned(), tmp_path / "m", metadata={"note": "héllo", "recipe": Recipe()})
    assert read_metadata(tmp_path / "m") == {"note": "héllo", "recipe": '{"version": 1}'}
    with pytest.raises(ModelError, match="metadata must be"):
        save(pruned(), tmp_path / "m", metadata={"note": object()})


def test_tied_tensors_are_stored_once(tmp_path: Path) -> None:
    def tied() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(40, 40, bias=False), nn.Linear(40, 40, bias=False))
        model[1].weight = model[0].weight
        return model

    def loose() -> nn.Sequential:
        return nn.Sequential(nn.Linear(40, 40, bias=False), nn.Linear(40, 40, bias=False))

    model = tied()
    save(model, tmp_path / "m", masks={"1.weight": torch.eye(40)})
    assert [(r.name, r.layout) for r in inspect_file(tmp_path / "m")] == [("0.weight", "bitmask"), ("1.weight", "= 0.weight")]
    for other in (load(tmp_path / "m", tied()), load(tmp_path / "m", loose())):
        assert torch.equal(other[0].weight, model[0].weight * torch.eye(40))
        assert torch.equal(other[1].weight, other[0].weight)
    save(loose(), tmp_path / "n")
    with pytest.raises(FormatError, match="which are one in the model"):
        load(tmp_path / "n", tied())


def test_views_of_one_storage(tmp_path: Path) -> None:
    whole = torch.arange(12.0)
    model = Bag(a=whole[:6], b=whole[3:9], c=whole.view(3, 4).t())
    save(model, tmp_path / "m")
    assert same_state(load(tmp_path / "m", model.like()), model)


def test_a_compiled_model_has_plain_names(tmp_path: Path) -> None:
    model = pruned()
    save(torch.compile(model, backend="eager"), tmp_path / "m")
    assert same_state(load(tmp_path / "m", net()), model)
    other = torch.compile(net(), backend="eager")
    assert load(tmp_path / "m", other) is other
    assert same_state(other._orig_mod, model)


def test_a_fresh_process_gives_equal_outputs(tmp_path: Path) -> None:
    model, x = pruned(), torch.randn(2, 1, 8, 8)
    save(model, tmp_path / "m")
    safetensors.torch.save_file({"x": x, "y": model(x).detach()}, tmp_path / "xy")
    script = (
        "import sys, torch; from torch import nn; from safetensors.torch import load_file; from secateur.codec import load\n"
        "model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 10))\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "d = load_file(sys.argv[2]); y = load(sys.argv[1], model).eval()(d['x']); sys.exit(0 if torch.equal(y, d['y']) else 3)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "m", tmp_path / "xy"], env=environment, check=False)
    assert done.returncode == 0


# What goes wrong


def refused(path: Path, model: nn.Module, match: str, **options: bool) -> None:
    """Loading fails with one sentence that names the file, and the model is as before."""
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(FormatError, match=match) as e:
        load(path, model, **options)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_another_model(tmp_path: Path) -> None:
    save(pruned(), tmp_path / "m")
    refused(tmp_path / "m", nn.Linear(3, 2), r"it lacks 'weight', 'bias' and it adds '0.weight', .* and \d+ more")
    wide = net()
    wide[3] = nn.Linear(8 * 36, 11)
    refused(tmp_path / "m", wide, r"'3.weight' is \(10, 288\) in the file and \(11, 288\) in the model")
    refused(tmp_path / "m", wide, r"'3.weight' is", strict=False)
    refused(tmp_path / "m", net().double(), r"convert the model with .to\(torch.float32\)")


def test_not_strict_fills_what_both_have(tmp_path: Path) -> None:
    model = pruned()
    save(model, tmp_path / "m")
    other = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Sequential(nn.Linear(3, 3)))
    load(tmp_path / "m", other, strict=False)
    assert torch.equal(other[0].weight, model[0].weight)


def test_files_that_are_none(tmp_path: Path) -> None:
    refused(tmp_path / "absent", net(), "there is no file")
    refused(tmp_path, net(), "there is no file")
    for content in (b"", b"abc", b"PK\x03\x04" + bytes(100), b"\xff" * 100, (10**12).to_bytes(8, "little") + b"{}"):
        (tmp_path / "m").write_bytes(content)
        refused(tmp_path / "m", net(), "is no intact safetensors file")
    safetensors.torch.save_file(net().state_dict(), tmp_path / "m")
    refused(tmp_path / "m", net(), "secateur did not write")


def rewrite(path: Path, change: dict[str, object], tensors: dict[str, torch.Tensor] | None = None) -> None:
    """The file with other fields in its secateur metadata, under a valid checksum unless that is what changes."""
    from secateur.codec.header import _checksum

    with safe_open(path, "pt") as f:
        fields = json.loads(f.metadata()["secateur"])
        stored = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    fields.update(change)
    if "checksum" not in change:
        fields["checksum"] = _checksum(fields["tensors"])
    safetensors.torch.save_file({**stored, **(tensors or {})}, path, metadata={"secateur": json.dumps(fields)})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format_version": "4"}, "has format version 4; this release reads up to 3"),
        ({"format_version": "3"}, "does not hold the tensor that its version has"),
        ({"format_version": "2"}, "damaged"),
        ({"format_version": "0"}, "damaged"),
        ({"format_version": 1}, "damaged"),
        ({"checksum": "0"}, "damaged"),
        ({"tensors": []}, "damaged"),
        ({"tensors": {"a": None}}, "damaged"),
        ({"tensors": {"a": {"same_as": "b"}}}, "damaged"),
        ({"tensors": {"a": {"layout": "gaps", "dtype": "float32", "shape": [], "crc32": "0"}}}, "the layout 'gaps'"),
        ({"tensors": {"a": {"layout": "dense", "dtype": "load", "shape": [], "crc32": "0"}}}, "damaged"),
        ({"tensors": {"a": {"layout": "dense", "dtype": "float32", "shape": [-1], "crc32": "0"}}}, "damaged"),
        ({"tensors": {}}, "does not hold the tensors"),
        ({"metadata": 3}, "damaged"),
    ],
)
def test_metadata_that_lie(tmp_path: Path, change: dict[str, object], match: str) -> None:
    save(Bag(a=torch.tensor(1.0)), tmp_path / "m")
    rewrite(tmp_path / "m", change)
    refused(tmp_path / "m", Bag(a=torch.tensor(2.0)), match)
    with pytest.raises(FormatError, match=match):
        inspect_file(tmp_path / "m")


def test_a_huge_shape_is_refused_before_any_allocation(tmp_path: Path) -> None:
    save(Bag(a=torch.zeros(1000)), tmp_path / "m")
    entry = {"layout": "bitmask", "dtype": "float32", "shape": [2**40, 2**40], "crc32": "0"}
    rewrite(tmp_path / "m", {"tensors": {"a": entry}})
    refused(tmp_path / "m", Bag(a=torch.ones(1000)), "in the file and")


def test_deeply_nested_metadata(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "m", metadata={"secateur": "[" * 100_000})
    refused(tmp_path / "m", Bag(a=torch.ones(1)), "damaged")


def fuzz_model() -> Bag:
    torch.manual_seed(0)
    a = torch.randn(40, 10) * (torch.rand(40, 10) < 0.1)
    return Bag(a=a, b=torch.randn(4).bfloat16(), c=torch.tensor(3), d=torch.zeros(300, dtype=torch.bool), e=a)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_loads_equal_or_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    path, model = tmp_path / "m", fuzz_model()
    save(model, path, metadata={"note": "text"})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path.write_bytes(content)
    other = model.like()
    try:
        load(path, other)
    except FormatError:
        assert all(t.eq(torch.ones_like(t)).all() for t in other.buffers())
    else:
        assert same_state(other, model)
    with contextlib.suppress(FormatError):
        assert {r.name for r in inspect_file(path)} == set(model.state_dict())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_every_truncation_is_refused(tmp_path: Path, share: float) -> None:
    path, model = tmp_path / "m", pruned()
    save(model, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(path, net(), "is no intact safetensors file")


def test_masks_that_fit_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="mask for 'wight'"):
        save(nn.Linear(3, 2), tmp_path / "m", masks={"wight": torch.ones(2, 3)})
    with pytest.raises(ModelError, match=r"is \(3, 2\); its tensor is \(2, 3\)"):
        save(nn.Linear(3, 2), tmp_path / "m", masks={"weight": torch.ones(3, 2)})
    assert list(tmp_path.iterdir()) == []


def test_state_that_no_file_can_hold(tmp_path: Path) -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> object:
            return {"anything": print}

        def set_extra_state(self, state: object) -> None: ...

    with pytest.raises(ModelError, match="no plain tensor"):
        save(Extra(2, 2), tmp_path / "m")
    with pytest.raises(ModelError, match="meta device"):
        save(nn.Linear(2, 2, device="meta"), tmp_path / "m")
    clash = nn.Module()
    clash.state_dict = lambda: {"a": torch.zeros(1000), "a.bitmask": torch.ones(3)}  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=r"'a.bitmask' has a name that the file needs for 'a'"):
        save(clash, tmp_path / "m")


def test_a_failed_save_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = tmp_path / "m", pruned()
    save(model, path)
    before = path.read_bytes()

    def full(tensors: object, part: Path, metadata: object) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_module, "save_file", full)
    with pytest.raises(RunError, match="No space left on device"):
        save(net(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_limit_on_file_size_is_a_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    script = (
        "import resource, sys; from torch import nn; from secateur.codec import save; from secateur.core.errors import RunError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: save(nn.Linear(100, 100), sys.argv[1])\n"
        "except RunError as e: sys.exit(0 if 'cannot be written' in str(e) else 4)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "m"], env=environment, check=False)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "absent" / "m", tmp_path / "file" / "m"):
        with pytest.raises(RunError, match="existing, writable folder"):
            save(net(), path)


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    save(net(), tmp_path / "m")
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


class Versioned(torch.nn.Linear):
    """Reads only what says which version of it was saved."""

    _version = 2

    def _load_from_state_dict(self, state: Any, prefix: str, local: Any, *rest: Any) -> None:
        assert local.get("version") == 2
        super()._load_from_state_dict(state, prefix, local, *rest)


def test_modules_are_told_their_version(tmp_path: Path) -> None:
    model = Versioned(3, 2)
    save(model, tmp_path / "a.safetensors")
    loaded = load(tmp_path / "a.safetensors", Versioned(3, 2))
    assert torch.equal(loaded.weight, model.weight)
