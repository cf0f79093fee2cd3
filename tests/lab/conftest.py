from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secateur.lab import Experiment, run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of an experiment that ran without interruption, each run once a session."""
    root = tmp_path_factory.mktemp("finished")

    def of(experiment: Experiment) -> Path:
        run(experiment, root)
        return root

    return of
