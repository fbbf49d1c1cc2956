"""The commands, run in this process with a file of settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.azurite import KEY
from shared.__main__ import main
from shared.cli.place import DONE

SECRET = ("_KEY", "_TOKEN")


@dataclass
class CommandLine:
    """Runs commands with the settings, changed for one of them or not; no secret may ever be seen."""

    settings: Mapping[str, str] = field(repr=False)
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str, **settings: str | None) -> tuple[int, str, str]:
        """Return the exit code, what was printed, and what was told on stderr."""
        values = {**self.settings, **settings}
        file = self.folder / "local.settings.json"
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
