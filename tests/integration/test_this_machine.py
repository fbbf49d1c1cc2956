"""What runs on this machine beside the app: nothing is left behind, and what is taken is named."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local.azurite import azurite
from local.children import ROOT, NotStarted
from tests.support.waiting import until

SLOW_TO_END = """
import signal, sys, threading
signal.signal(signal.SIGTERM, lambda *_: (threading.Event().wait(1), sys.exit()))
print("{}", flush=True)
signal.pause()
"""
PARENT = f"""
import json, signal
from local.children import end_in_order, python_child
end_in_order()
with python_child(["-c", {SLOW_TO_END!r}], {{}}) as child:
    print(json.dumps({{"child": child.pid}}), flush=True)
    signal.pause()
"""


@pytest.mark.skipif(os.name != "posix", reason="this system has no such signals")
def test_a_program_that_is_told_to_end_twice_still_stops_its_children() -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = json.loads(process.stdout.readline())["child"]
    process.send_signal(signal.SIGHUP)

    def ended() -> bool:
        process.send_signal(signal.SIGTERM)
        return process.poll() is not None

    until(ended, "its end")
    assert process.returncode == 128 + signal.SIGHUP
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
    ports = [1, 1, 1]
    ports[place] = taken
    with pytest.raises(NotStarted, match=f"port {taken} is taken"), azurite(ports=(ports[0], ports[1], ports[2])):
        pass


def test_a_port_that_cannot_be_is_one_clear_line() -> None:
    command = [sys.executable, "-m", "local.up", "--port", "70000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("run.py up: error: argument --port: ")
