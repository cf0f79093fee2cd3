from __future__ import annotations

import pytest

import secateur as sc
from secateur.core.errors import did_you_mean, require


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (sc.RecipeError, ValueError), (sc.ModelError, ValueError), (sc.FormatError, ValueError), (sc.DataError, RuntimeError),
        (sc.DependencyError, ImportError), (sc.RunError, RuntimeError),
    ],
)  # fmt: skip
def test_every_kind_is_ours_and_pythons(kind, builtin):
    assert issubclass(kind, sc.SecateurError)
    assert issubclass(kind, builtin)


def test_near_names_are_offered():
    assert did_you_mean("globl", ["uniform", "global"]) == "did you mean 'global'? known: global, uniform"
    assert did_you_mean("xyz", ["global"]) == "known: global"
    assert did_you_mean("xyz", []) == "known: none"


def test_a_missing_package_names_its_extra():
    with pytest.raises(sc.DependencyError) as e:
        require("no_such_package_at_all.part", "report")
    assert str(e.value) == "no_such_package_at_all is not installed; it comes with: pip install 'secateur[report]'"
    assert require("json", "all").dumps(1) == "1"
