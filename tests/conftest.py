"""What every test may use: storage that runs for the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.azurite import Azurite
from local.azurite import azurite as run_azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """An Azurite in memory, one for each worker of the test run. Tests keep apart by container and queue names."""
    with run_azurite() as running:
        yield running
