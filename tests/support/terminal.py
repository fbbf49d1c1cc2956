"""The commands, run in this process with a file of settings."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.azurite import KEY
from local.children import ROOT
from shared.__main__ import main
from shared.cli.place import DONE
from tests.support.waiting import PATIENCE

SETTINGS = "local.settings.json"
SECRET = ("_KEY", "_TOKEN")


@dataclass
class CommandLine:
    """Runs commands with the settings, changed for one of them or not; no secret may ever be seen."""

    settings: Mapping[str, str] = field(repr=False)
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str, **settings: str | None) -> tuple[int, str, str]:
        """Return the exit code, what was printed, and what was printed on stderr."""
        values = {**self.settings, **settings}
        file = self.folder / SETTINGS
        file.write_text(json.dumps({"Values": {k: v for k, v in values.items() if v is not None}}), "utf-8")
        code = main([*arguments, "--settings", str(file)])
        captured = self.capsys.readouterr()
        secrets = [v for k, v in values.items() if k.endswith(SECRET) and v] + [KEY]
        assert not [each for each in secrets if each in captured.out + captured.err]
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    def json(self, *arguments: str, **settings: str | None) -> Any:
        code, out, err = self.run(*arguments, "--json", **settings)
        assert code == DONE, err
        return json.loads(out)


def screen(columns: int, *command: str, environment: Mapping[str, str] | None = None, answer: str = "") -> list[str]:
    """Return the lines that Python shows on a terminal of this width, without colours; `answer` is typed in."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**kept, "TERM": "xterm", **(environment or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = bytearray()
    try:
        while piece := os.read(ours, 1 << 16):
            shown += piece
    except OSError:  # Linux says so when the other end is closed
        pass
    finally:
        process.wait(PATIENCE)
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown.decode()).splitlines()
