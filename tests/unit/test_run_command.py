"""How a command of a local service ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from local.children import ROOT
from service.commands import Failed, Stopped, run_command


def ends_with(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Failed("it was refused"), 1, "aml: it was refused\n"),
        (Stopped("name a folder"), 2, "aml: name a folder\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_command_ends_with_one_line_and_its_exit_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("aml", ends_with(error)) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("program", ["aml", "studio"])
def test_a_reader_that_is_gone_ends_the_command_without_a_traceback(program: str) -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", program, "fault", "kinds"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    with command.stderr:
        assert command.stderr.read() == b""
    assert command.wait() == 141
