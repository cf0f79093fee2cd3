"""``compress``: what is written comes back bit for bit, in every layout, by every coder."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from codec_strategies import bits, positive_zeros, tensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from test_file import Bag, net, pruned, same_state
from torch import nn

import secateur as sc
from secateur.codec import compress, compress_file, expand, inspect_file, load, read_metadata, save
from secateur.codec.coded import LAYOUT_NAMES, Wish, decode, encode
from secateur.codec.compress import CODERS
from secateur.codec.positions import LAYOUTS
from secateur.core.errors import FormatError, ModelError, RunError


def exact(found: torch.Tensor, given: torch.Tensor, layout: str) -> None:
    assert found.dtype == given.dtype
    assert found.shape == given.shape
    kept = layout == "dense" and bool(given.count_nonzero())
    assert torch.equal(bits(found), bits(given if kept else positive_zeros(given)))


@st.composite
def shared(draw: st.DrawFn) -> torch.Tensor:
    """A tensor of few distinct values."""
    shape = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    book = torch.randn(draw(st.integers(1, 9)), generator=generator)
    t = book[torch.randint(0, len(book), shape, generator=generator)]
    t = t * (torch.rand(shape, generator=generator) < draw(st.sampled_from([0.02, 0.1, 0.5, 1.0])))
    return t.to(draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float64, torch.int8])))


@settings(max_examples=300, deadline=None)
@given(t=st.one_of(tensors(), shared()), coder=st.sampled_from(CODERS), layout=st.sampled_from([None, None, *LAYOUTS]))
def test_a_round_trip_is_exact(t: torch.Tensor, coder: str, layout: str | None) -> None:
    payload = encode(t, Wish(coder, layout))
    found, parts = decode(payload.data, payload.nonzero, t.dtype, tuple(t.shape))
    exact(found, t, payload.layout)
    assert payload.nonzero == int(positive_zeros(t).view(torch.uint8 if t.dtype == torch.bool else t.dtype).ne(0).sum())
    if payload.data:
        assert parts.positions + parts.values + parts.codebook + parts.other == len(payload.data)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=tensors(), b=shared(), coder=st.sampled_from(CODERS))
def test_files_come_back(tmp_path: Path, a: torch.Tensor, b: torch.Tensor, coder: str) -> None:
    model = Bag(a=a, b=b)
    assert compress(model, tmp_path / "m", coder=coder) == tmp_path / "m"
    back = load(tmp_path / "m", model.like())
    for row in inspect_file(tmp_path / "m"):
        exact(getattr(back, row.name), getattr(model, row.name), row.layout)


DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype: torch.dtype, coder: str) -> None:
    tiny = torch.finfo(dtype).smallest_normal / 2
    t = torch.tensor([0.0, -0.0, float("nan"), float("inf"), -float("inf"), tiny, -1.0] * 5 + [0.0] * 200, dtype=dtype)
    t[2].view({2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]).add_(3)  # NaN with something in it
    payload = encode(t, Wish(coder))
    exact(decode(payload.data, payload.nonzero, dtype, tuple(t.shape))[0], t, payload.layout)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (1, 1, 1, 1), (7, 1), (1, 7), (64, 3), (3, 64)])
@pytest.mark.parametrize("coder", CODERS)
def test_odd_shapes(shape: tuple[int, ...], coder: str) -> None:
    for t in (torch.zeros(shape), torch.ones(shape), torch.full(shape, -2.0)):
        payload = encode(t, Wish(coder))
        exact(decode(payload.data, payload.nonzero, t.dtype, shape)[0], t, payload.layout)
        assert payload.data or not t.count_nonzero()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn, torch.uint16])
def test_other_types(tmp_path: Path, dtype: torch.dtype) -> None:
    model = Bag(a=torch.tensor([0, 1, 2] * 100).to(dtype))
    compress(model, tmp_path / "m")
    back = load(tmp_path / "m", Bag(a=torch.zeros(300).to(dtype)))
    assert torch.equal(bits(back.a), bits(model.a))
    assert [(r.layout, r.nonzero) for r in inspect_file(tmp_path / "m")] == [("dense", 200)]
    with safe_open(expand(tmp_path / "m", tmp_path / "plain"), "pt") as f:
        assert torch.equal(bits(f.get_tensor("a")), bits(model.a))


# Which layout is taken


def structured(kind: str) -> torch.Tensor:
    torch.manual_seed(0)
    t = torch.randn(64, 64)
    if kind == "n:m":
        order = t.view(64, 16, 4).abs().argsort(-1, descending=True)
        return t * torch.zeros(64, 16, 4).scatter_(-1, order[..., :2], 1.0).view(64, 64)
    if kind == "blocks":
        return t * (torch.rand(16, 16) < 0.2).float().repeat_interleave(4, 0).repeat_interleave(4, 1)
    return t * (torch.rand(64, 64) < {"gaps": 0.01, "bitmask": 0.3, "dense": 1.0}[kind])


@pytest.mark.parametrize("kind", [*LAYOUTS])
def test_each_layout_is_the_smallest_where_it_belongs(kind: str) -> None:
    """Without entropy coding, which sees structure by itself."""
    t = structured(kind)
    sizes = {name: len(encode(t, Wish("none", name)).data) for name in LAYOUTS if encode(t, Wish("none", name)).layout == name}
    assert min(sizes, key=sizes.__getitem__) == kind
    chosen = encode(t, Wish("none"))
    assert (chosen.layout, len(chosen.data)) == (kind, sizes[kind])


@pytest.mark.parametrize(("coder", "most"), [("huffman", 1.0), ("rans", 1.0), ("range", 0.9)])
def test_coding_makes_it_smaller(coder: str, most: float) -> None:
    torch.manual_seed(0)
    t = (torch.randn(300, 400) * 2).round() * (torch.rand(300, 400) < torch.rand(400) ** 4)
    assert len(encode(t, Wish(coder)).data) < most * len(encode(t, Wish("none")).data)


def test_gaps_by_hand() -> None:
    """Gaps of 1 to 4 in two bits: 3, 1, then 9 as two fillers of 4 and 1."""
    mask = torch.zeros(20, dtype=torch.bool)
    mask[[2, 3, 12]] = True
    listed = LAYOUTS["gaps"].encode(mask.numpy(), (20,), 2)
    assert listed is not None
    assert listed.symbols.tolist() == [2, 0, 3, 3, 0]
    assert listed.places.tolist() == [2, 3, 7, 11, 12]
    exactly = torch.zeros(9, dtype=torch.bool)
    exactly[[3, 7]] = True  # gaps of exactly 4 need no filler
    assert LAYOUTS["gaps"].encode(exactly.numpy(), (9,), 2).symbols.tolist() == [3, 3]


# What goes with it


def test_a_model_and_its_file(tmp_path: Path) -> None:
    model = pruned()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for name in "ab":
        compress(model, tmp_path / name, metadata={"note": "héllo"})
    save(model, tmp_path / "saved")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_size < 0.9 * (tmp_path / "saved").stat().st_size
    assert same_state(load(tmp_path / "a", net()), model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert read_metadata(tmp_path / "a") == {"note": "héllo"}


def test_safetensors_alone_opens_it(tmp_path: Path) -> None:
    compress(pruned(), tmp_path / "m")
    with safe_open(tmp_path / "m", "pt") as f:
        assert f.metadata() == {"secateur": '{"format_version":"3"}'}
        assert f.get_tensor("secateur").dtype == torch.uint8


def test_a_small_file_has_a_small_header(tmp_path: Path) -> None:
    compress(net(), tmp_path / "m")
    rows = inspect_file(tmp_path / "m")
    assert (tmp_path / "m").stat().st_size - sum(r.bytes for r in rows) < 160 + 25 * len(rows)


def test_masks_ties_and_compiled_models(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(40, 40, bias=False), nn.Linear(40, 40, bias=False))
    model[1].weight = model[0].weight
    compress(torch.compile(model, backend="eager"), tmp_path / "m", masks={"1.weight": torch.eye(40)})
    assert [(r.name, r.layout[0]) for r in inspect_file(tmp_path / "m")][1] == ("1.weight", "=")
    back = load(tmp_path / "m", nn.Sequential(nn.Linear(40, 40, bias=False), nn.Linear(40, 40, bias=False)))
    assert torch.equal(back[1].weight, model[0].weight * torch.eye(40))


def test_a_shrunken_model(tmp_path: Path) -> None:
    def mlp() -> nn.Sequential:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    model = mlp()
    sc.shrink_(model, torch.randn(2, 4), {"0": [1, 2, 5]})
    compress(model, tmp_path / "m")
    assert same_state(load(tmp_path / "m", mlp()), model)
    compress_file(tmp_path / "m", tmp_path / "again", coder="huffman")
    assert same_state(load(tmp_path / "again", mlp()), model)


def test_sharing_on_the_way(tmp_path: Path) -> None:
    class Signs:
        def quantise(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.sign() if tensor.dim() > 1 else tensor

    model = pruned()
    sc.compress(model, tmp_path / "m", share=Signs())
    back = load(tmp_path / "m", net())
    assert torch.equal(back[3].weight, model[3].weight.sign())
    assert torch.equal(back[3].bias, model[3].bias)

    class Wrong:
        def quantise(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.double()

    with pytest.raises(ModelError, match="keep shape and type"):
        compress(model, tmp_path / "m", share=Wrong())


def test_options_by_pattern(tmp_path: Path) -> None:
    compress(pruned(), tmp_path / "m", coder="huffman", index_bits={"0.*": 8, "3.*": 5}, layout={"nothing": "dense"})
    rows = {r.name: r for r in inspect_file(tmp_path / "m")}
    assert {n: rows[n].parts.index_bits for n in ("0.weight", "3.weight")} == {"0.weight": 8, "3.weight": 5}
    compress(pruned(), tmp_path / "m", layout={"3.weight": "bitmask"})
    assert {r.name: r.layout for r in inspect_file(tmp_path / "m")}["3.weight"] == "bitmask"


def test_layouts_told(tmp_path: Path) -> None:
    for layout in LAYOUT_NAMES:
        model = Bag(a=structured("n:m"), b=structured("blocks"))
        compress(model, tmp_path / "m", layout=layout)
        assert same_state(load(tmp_path / "m", model.like()), model)
        assert layout in {r.layout for r in inspect_file(tmp_path / "m")}


def test_contexts_for_some_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.import_module("secateur.codec.compress"), "WORK", 3000
    )  # a layer of 32 × 32 of few values takes 1024 + k decisions
    model = nn.Sequential(*(nn.Linear(32, 32, bias=False) for _ in range(4)))
    with torch.no_grad():
        for layer in model:
            layer.weight.copy_((torch.rand(32, 32) < 0.2).float())
    path = compress(model, tmp_path / "m.safetensors")
    layouts = [row.layout for row in inspect_file(path)]
    assert layouts[:2] == ["context"] * 2
    assert "context" not in layouts[2:]
    told = compress(model, tmp_path / "told.safetensors", layout="context")
    assert [row.layout for row in inspect_file(told)] == ["context"] * 4
    for file in (path, told):
        assert same_state(model, load(file, nn.Sequential(*(nn.Linear(32, 32, bias=False) for _ in range(4)))))


def test_what_is_refused(tmp_path: Path) -> None:
    nan = Bag(a=torch.tensor([float("nan"), 1.0]))
    for options, match in [
        ({"coder": "zip"}, "there is no coder 'zip'"),
        ({"layout": "csr"}, "there is no layout 'csr'"),
        ({"layout": {"*": "csr"}}, "there is no layout 'csr'"),
        ({"layout": "context", "coder": "huffman"}, "is coded by coder='range'"),
        ({"index_bits": 9}, "from 1 to 8; got 9"),
        ({"index_bits": {"*": 0}}, "from 1 to 8; got 0"),
        ({"finite": True}, "'a' holds NaN or infinity"),
        ({"masks": {"b": torch.ones(2)}}, "mask for 'b'"),
    ]:
        with pytest.raises(ModelError, match=match):
            compress(nan, tmp_path / "m", **options)
    assert list(tmp_path.iterdir()) == []
    compress(nan, tmp_path / "m")
    assert load(tmp_path / "m", Bag(a=torch.zeros(2))).a.isnan().tolist() == [True, False]
    with pytest.raises(RunError, match="existing, writable folder"):
        compress(net(), tmp_path / "absent" / "m")


# Plain files


@pytest.mark.parametrize("write", [save, compress])
def test_expanding(tmp_path: Path, write: object) -> None:
    model = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 40))
    model[1].weight = model[0].weight
    write(model, tmp_path / "m", masks={"0.weight": torch.eye(40)}, metadata={"a": "b"})  # type: ignore[operator]
    expand(tmp_path / "m", tmp_path / "plain")
    found = safetensors.torch.load_file(tmp_path / "plain")
    assert found.keys() == model.state_dict().keys()
    assert torch.equal(found["1.weight"], model[0].weight * torch.eye(40))
    with safe_open(tmp_path / "plain", "pt") as f:
        assert f.metadata() == {"a": "b"}
    compress_file(tmp_path / "plain", tmp_path / "again")
    again = {r.name: r.nonzero for r in inspect_file(tmp_path / "again")}
    assert again == {n: int(t.count_nonzero()) for n, t in found.items()}
    assert read_metadata(tmp_path / "again") == {"a": "b"}


def test_too_much_for_a_small_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compress(Bag(a=torch.zeros(2**20)), tmp_path / "m")  # nothing is left of it, and nothing is stored
    assert (tmp_path / "m").stat().st_size < 250
    with pytest.raises(FormatError, match="declares 4,194,304 bytes of tensors"):
        expand(tmp_path / "m", tmp_path / "plain", limit=1000)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert inspect_file(tmp_path / "m")[0].bytes == 0
    compress(Bag(a=torch.eye(1024)), tmp_path / "m")
    monkeypatch.setattr("secateur.codec.opened.LIMIT", 1000)
    with pytest.raises(FormatError, match="too many to look at without a model"):
        inspect_file(tmp_path / "m")
    with pytest.raises(FormatError, match="no intact safetensors"):
        compress_file(tmp_path / "absent", tmp_path / "x")
