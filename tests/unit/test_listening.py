"""One server works on a data folder at a time, and its addresses are found while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.commands import Stopped
from service.listening import address_of, announced, listen, running


def test_the_addresses_of_a_server_are_found_while_it_runs(tmp_path: Path) -> None:
    with listen(0) as listening:
        address = address_of(listening, "http")
        with announced(tmp_path, address=address):
            assert running(tmp_path, "address") == address
        assert running(tmp_path, "address") is None


def test_a_second_server_on_a_folder_is_refused_and_the_first_one_stays_announced(tmp_path: Path) -> None:
    with listen(0) as listening:
        address = address_of(listening, "http")
        with announced(tmp_path, address=address):
            with pytest.raises(Stopped, match="another server works on"), announced(tmp_path, address="http://x:1"):
                pass
            assert running(tmp_path, "address") == address
        with announced(tmp_path, address=address):
            assert running(tmp_path, "address") == address
