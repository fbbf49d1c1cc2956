"""What every test may use: real storage and a real Studio, new for each test that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.azurite import azurite as run_azurite
from local.children import end_in_order
from local.workplace import Workplace
from local.workplace import workplace as run_workplace

end_in_order(lambda number: pytest.exit(f"ended by signal {number}", returncode=128 + number))


@pytest.fixture
def azurite() -> Iterator[Azurite]:
    """An Azurite in memory."""
    with run_azurite() as running:
        yield running


@pytest.fixture
def workplace(azurite: Azurite, tmp_path: Path) -> Iterator[Workplace]:
    """Azurite and a local Studio with the breast cancer experiment, published Classic and New."""
    with run_workplace(azurite, tmp_path) as place:
        yield place
