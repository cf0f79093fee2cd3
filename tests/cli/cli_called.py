"""The command line in this process."""

from __future__ import annotations

import sys

import pytest

from secateur.cli import main


def called(monkeypatch, capsys, *arguments):
    """``main()`` in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["secateur", *map(str, arguments)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as e:
        main()
    said = capsys.readouterr()
    return e.value.code or 0, said.out, said.err
