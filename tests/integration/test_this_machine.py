"""What runs on this machine beside the app: nothing is left behind, and what is taken is named."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.azurite import azurite
from local.children import ROOT, NotStarted, background
from tests.support.late import late
from tests.support.waiting import PATIENCE, until

PARENT = """
import signal
from local.children import end_in_order, python_child
end_in_order()
with python_child(["tests.support.slow_to_end"], {}, lambda line: print(line, flush=True)) as child:
    print(child.pid, flush=True)
    signal.pause()
"""


@pytest.mark.skipif(os.name != "posix", reason="this system has no such signals")
@pytest.mark.parametrize(("first", "second"), [("SIGHUP", "SIGTERM"), ("SIGINT", "SIGINT")])
def test_a_program_that_gets_two_signals_to_end_stops_its_children_quietly(first: str, second: str) -> None:
    command = [sys.executable, "-c", PARENT]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(signal.Signals[first])
    assert process.stdout.readline() == b"ending\n"
    process.send_signal(signal.Signals[second])
    _, said = process.communicate()
    assert (process.returncode, said) == (128 + signal.Signals[first], b"")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_port_that_is_taken_is_named_and_nobody_elses_storage_is_used(taken: int, place: int) -> None:
    ports = [0, 0, 0]
    ports[place] = taken
    with pytest.raises(NotStarted, match=f"port {taken} is taken"), azurite(ports=(ports[0], ports[1], ports[2])):
        pass


def test_no_other_program_can_take_a_free_port_before_azurite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = os.environ.get("RELEARN_NODE") or shutil.which("node")
    monkeypatch.setenv("RELEARN_NODE", late(tmp_path, str(node)))
    with azurite() as running:
        for address in (running.blob_address, running.queue_address):
            assert "Azurite" in requests.get(address, timeout=PATIENCE).headers["Server"]


def test_a_program_that_prints_more_than_a_pipe_holds_goes_on(tmp_path: Path) -> None:
    done = tmp_path / "done"
    code = f"print('ready'); [print('x' * 1000) for _ in range(1000)]; open({str(done)!r}, 'w').close()"
    with background([sys.executable, "-c", code], "it", lambda line: line == "ready"):
        until(done.exists, "the program has printed all")


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a user's folders apart by their place")
def test_the_storages_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "azurite"
    folder.mkdir(mode=0o755)
    with azurite(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_port_that_cannot_be_is_one_clear_line() -> None:
    command = [sys.executable, "-m", "local.up", "--port", "70000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("run.py up: error: argument --port: ")
