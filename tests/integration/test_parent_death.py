"""However `run.py up`, `demo` or `test` is ended, each process that it started ends too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from local.children import ROOT
from tests.support.ports import port_of_up
from tests.support.processes import HAS_PROC, NO_PROC, with_variable
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(not HAS_PROC, reason=NO_PROC)

#: `run.py` behind its installation
RUN = """
import sys
from pathlib import Path
import run
sys.exit(run._call(run.setup.Ready(Path(sys.executable)), sys.argv[1:]))
"""
#: `up` in its own folder
UP = """
import sys
from pathlib import Path
from local import home, up
home.FOLDER = Path(__file__).parent / "relearn"
home.SETTINGS = home.FOLDER / "local.settings.json"
home.FOLDER.mkdir(exist_ok=True)
sys.exit(up.main())
"""
#: what is in the command lines of the processes that each has running
SERVICES = ("azurite.js", " studio serve ", "multiprocessing.forkserver")
TRIGGERS = " local.host "
WORKER = "exec(eval(sys.stdin.readline()))"


@contextmanager
def started(folder: Path, module: list[str], *awaited: str, ignoring: str = "") -> Iterator[tuple[int, str]]:
    """Start it as a script's background job that ignores a signal; yield its id and the mark of its processes."""
    mark = f"RELEARN_TEST_MARK={uuid4().hex}"
    name, value = mark.split("=")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = ["sh", "-c", f'trap "" {ignoring}; exec "$@"' if ignoring else 'exec "$@"', "sh"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, sys.executable, "-c", RUN, *module],
            cwd=ROOT,
            env={**inherited, "PYTHONPATH": str(folder), name: value},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def said() -> str:
        return (folder / "output").read_text(errors="replace")[-2000:]

    try:
        until(
            lambda: process.poll() is not None or _has(with_variable(mark), awaited),
            lambda: f"{awaited} of {with_variable(mark)}, {said()}",
        )
        assert process.poll() is None, said()
        yield process.pid, mark
        process.wait(PATIENCE)
        until(lambda: not with_variable(mark), lambda: f"the end of {with_variable(mark)}")
    finally:
        for each in with_variable(mark):
            os.kill(each, signal.SIGKILL)
        process.wait()


def _has(commands: dict[int, str], awaited: tuple[str, ...]) -> bool:
    return all(any(each in command for command in commands.values()) for each in awaited)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a folder and the command of an `up` there. Only its first start publishes and writes the settings."""
    folder = tmp_path_factory.mktemp("up")
    (folder / "up_elsewhere.py").write_text(UP)
    return folder, ["up_elsewhere", "--port", str(port_of_up())]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGHUP"])
def test_up_that_is_ended_leaves_no_process(name: str, up: tuple[Path, list[str]]) -> None:
    folder, module = up
    with started(folder, module, *SERVICES[:2], TRIGGERS, ignoring="INT") as (process, _):
        os.kill(process, signal.Signals[name])


def test_a_demo_that_is_ended_leaves_no_process(tmp_path: Path) -> None:
    with started(tmp_path, ["local.demo"], *SERVICES, TRIGGERS, ignoring="INT") as (process, _):
        os.kill(process, signal.SIGTERM)


def test_a_demo_whose_own_process_is_killed_leaves_no_process(tmp_path: Path) -> None:
    with started(tmp_path, ["local.demo"], *SERVICES, TRIGGERS) as (_, mark):
        [demo] = [each for each, command in with_variable(mark).items() if "lifeline local.demo" in command]
        os.kill(demo, signal.SIGKILL)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_test_run_that_is_ended_leaves_no_process(name: str, tmp_path: Path) -> None:
    tests = ["pytest", "-n", "1", "-p", "no:cacheprovider", "tests/integration/test_crashes.py"]
    with started(tmp_path, tests, *SERVICES[:2], WORKER, ignoring="INT") as (process, _):
        os.kill(process, signal.Signals[name])
