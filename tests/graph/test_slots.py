"""The integers of modules: found wherever they are, put back, and written without touching what others share."""

from __future__ import annotations

import dataclasses as dc
import enum
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from secateur.graph.sizes import Notes, Size, Slot
from secateur.graph.slots import NOTE, follow, read, write
from secateur.graph.trace import untouched


class Kind(enum.IntEnum):
    WIDE = 7


Pair = namedtuple("Pair", "heads size")


@dc.dataclass
class Settings:
    heads: int = 4
    inner: Any = None


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width, self.flag, self.ratio, self.none, self.kind = 8, True, 0.5, None, Kind.WIDE
        self.sizes, self.pair, self.options = [1, [2, 3]], (4, 5), {"heads": 6, 7: {"deep": 8}}
        self.settings = Settings(inner=SimpleNamespace(size=9))
        self.child = nn.Linear(3, 2)
        self.register_buffer("buffer", torch.zeros(2))


def test_every_integer_is_found_and_nothing_else() -> None:
    model, notes = Holder(), Notes()
    with untouched(model):
        found = follow(model, notes)
        assert {str(s): v for s, v in found.items()} == {
            "width": 8, "sizes.0": 1, "sizes.1.0": 2, "sizes.1.1": 3, "pair.0": 4, "pair.1": 5, "options.heads": 6,
            "options.7.deep": 8, "settings.heads": 4, "settings.inner.size": 9, "child.in_features": 3, "child.out_features": 2,
        }  # fmt: skip
        for slot, value in found.items():
            held = read(model, slot)
            assert type(held) is Size
            assert (int(held), held.expression) == (value, slot)
        assert model.flag is True
        assert model.kind is Kind.WIDE
    assert type(model.width) is int
    assert type(model.settings.inner.size) is int


def test_following_changes_no_container_in_place() -> None:
    model = Holder()
    sizes, options, settings = model.sizes, model.options, model.settings
    follow(model, Notes())
    assert type(sizes[1][0]) is type(options["heads"]) is type(settings.heads) is int
    assert model.sizes is not sizes


def test_objects_that_refuse_to_be_copied_are_left() -> None:
    class Stubborn:
        def __init__(self) -> None:
            self.heads = 4

        def __copy__(self) -> Stubborn:
            raise TypeError("no")

    model = nn.Linear(2, 2)
    model.config = Stubborn()
    follow(model, Notes())
    assert type(model.config.heads) is int


def test_writing_copies_what_is_changed() -> None:
    model = Holder()
    sizes, options, settings = model.sizes, model.options, model.settings
    changes = {Slot("", ("sizes", 1, 0)): 20, Slot("", ("options", 7, "deep")): 80, Slot("", ("pair", 1)): 50,
               Slot("", ("settings", "inner", "size")): 90, Slot("child", ("out_features",)): 1}  # fmt: skip
    write(model, changes)
    assert {s: read(model, s) for s in changes} == changes
    assert (model.sizes, model.pair) == ([1, [20, 3]], (4, 50))
    assert sizes == [1, [2, 3]]
    assert options[7] == {"deep": 8}
    assert settings.inner.size == 9
    assert model.settings.heads == 4


def shared() -> nn.Module:
    model, settings = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), Settings()
    for module in [model, *model]:
        module.settings = settings
    return model


def test_a_shared_object_stays_shared_while_all_agree() -> None:
    model = shared()
    before = model.settings
    write(model, {Slot(m, ("settings", "heads")): 3 for m in ("", "0", "1")})
    assert model.settings is model[0].settings is model[1].settings
    assert (model.settings.heads, before.heads) == (3, 4)


def test_who_differs_gets_a_copy() -> None:
    model = shared()
    write(model, {Slot("0", ("settings", "heads")): 3, Slot("1", ("settings", "heads")): 2})
    assert [m.settings.heads for m in (model, *model)] == [4, 3, 2]


def test_the_values_at_first_are_noted() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    write(model, {Slot("0", ("in_features",)): 2})
    write(model, {Slot("0", ("in_features",)): 1})
    assert vars(model[0])[NOTE] == {("in_features",): 3}


def test_a_slot_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        read(nn.Linear(2, 2), Slot("", ("heads",)))
    with pytest.raises(AttributeError):
        read(nn.Linear(2, 2), Slot("block", ("heads",)))
