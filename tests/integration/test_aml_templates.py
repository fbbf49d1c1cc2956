"""Processes of deployments are copies of one that has the libraries loaded: each ends alone, and none stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import skops.io

from aml.jobs.command import environment_of
from aml.serving.container import READY
from aml.serving.templates import Template, Templates
from local.children import ROOT
from tests.support.processes import lives
from tests.support.serving import constant_model
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    made = Templates()
    yield made
    made.stop()


def order(folder: Path) -> tuple[Path, Path, dict[str, str], Path]:
    """Return what a copy is made with: a model, in its own folder."""
    folder.mkdir()
    skops.io.dump(constant_model("aye"), folder / "model.skops")
    settings = {"secret": "s", "model": str(folder / "model.skops"), "code": "", "script": ""}
    (folder / "container.json").write_text(json.dumps(settings))
    return folder / "container.json", folder, environment_of(sys.executable, {}), folder / "log"


def begun(running: ExitStack, template: Template, folder: Path) -> Callable[[], int | None]:
    exit_code = running.enter_context(template.running(*order(folder)))
    until((folder / READY).exists, lambda: (folder / "log").read_text())
    return exit_code


def server_of(folder: Path) -> int:
    """Return the process that is the inference server of a folder."""
    [found] = [
        int(each.name)
        for each in Path("/proc").glob("[0-9]*")
        if _works_in(each, folder) and not _children(int(each.name))
    ]
    return found


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder
    except OSError:
        return False


def _children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def test_each_deployment_is_a_separate_process_and_ends_alone(templates: Templates, tmp_path: Path) -> None:
    template = templates.of(sys.executable)
    assert template is not None and templates.of(sys.executable) is template
    with ExitStack() as running:
        kept = begun(running, template, tmp_path / "kept")
        with ExitStack() as other:
            ended = begun(other, template, tmp_path / "ended")
            processes = [server_of(tmp_path / name) for name in ("kept", "ended")]
            assert len(set(processes)) == 2 and kept() is None and ended() is None
        until(lambda: not lives(processes[1]), "the other one ends")
        assert lives(processes[0]) and kept() is None
    until(lambda: not lives(processes[0]), "it ends")


def test_a_process_that_ends_by_itself_says_how(templates: Templates, tmp_path: Path) -> None:
    template = templates.of(sys.executable)
    assert template
    with ExitStack() as running:
        exit_code = begun(running, template, tmp_path / "killed")
        os.kill(server_of(tmp_path / "killed"), signal.SIGKILL)
        until(lambda: exit_code() is not None, "it is seen to end")
        assert exit_code() == 128 + signal.SIGKILL
    place = order(tmp_path / "broken")
    (tmp_path / "broken" / "model.skops").write_bytes(b"not a model")
    with template.running(*place) as exit_code:
        until(lambda: exit_code() is not None, "it cannot start")
        assert exit_code() == 1
    assert "Traceback" in (tmp_path / "broken" / "log").read_text()


def test_after_its_end_another_one_is_made(templates: Templates, tmp_path: Path) -> None:
    template = templates.of(sys.executable)
    assert template
    template.stop()
    with pytest.raises(OSError), template.running(*order(tmp_path / "never")):
        pass
    again = templates.of(sys.executable)
    assert again and again is not template and again.lives


def test_a_python_that_has_nothing_to_load_makes_none(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o700)
    assert Templates().of(str(python)) is None


#: a server that makes a deployment, says so, and waits
SERVER = """
import json, signal, sys
from pathlib import Path
from aml.serving.templates import Template
from tests.support.waiting import until
settings, folder, environment, log = json.loads(sys.argv[1])
with Template(sys.executable).running(Path(settings), Path(folder), environment, Path(log)):
    until((Path(folder) / "ready").exists, "the deployment is ready")
    print("ready", flush=True)
    signal.pause()
"""


def test_a_deployment_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    place = [each if isinstance(each, dict) else str(each) for each in order(tmp_path / "one")]
    command = [sys.executable, "-c", SERVER, json.dumps(place)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout and server.stdout.readline() == "ready\n"
            process = server_of(tmp_path / "one")
            server.kill()
            server.wait(PATIENCE)
            until(lambda: not lives(process), "the deployment ends")
        finally:
            server.kill()
