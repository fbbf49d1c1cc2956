"""The set-up: once, only what changed, and one line when something is missing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from local import setup
from local.children import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements-dev.txt").write_text("")
    return tmp_path


def test_a_second_start_installs_nothing_and_a_changed_requirement_does(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(setup, "_run", lambda command, *_, **__: ran.append(str(command[-1])))
    monkeypatch.setattr(venv, "create", lambda folder, **_: venv.EnvBuilder().create(folder))  # pip is not run here
    python = setup.development(root)
    assert python.exists()
    assert len(ran) == 1
    assert setup.development(root) == python
    assert len(ran) == 1
    (root / "requirements-dev.txt").write_text("# changed\n")
    setup.development(root)
    assert len(ran) == 2


def test_an_installation_that_fails_is_one_line_and_is_tried_again_at_the_next_start(root: Path) -> None:
    (root / "requirements-dev.txt").write_text("no-such-package @ file:///nowhere\n")
    for _ in range(2):
        with pytest.raises(setup.Missing, match="check that pip can reach its package index") as missing:
            setup.development(root)
        assert "\n" not in str(missing.value)


def test_clean_removes_what_was_made_and_nothing_else(root: Path) -> None:
    for name in (".venv", ".relearn"):
        (root / name).mkdir()
    (root / "data.csv").write_text("kept")
    setup.clean(root)
    assert sorted(path.name for path in root.iterdir()) == ["data.csv", "requirements-dev.txt"]


def test_help_tells_of_each_command_in_one_line() -> None:
    command = [sys.executable, str(ROOT / "run.py"), "--help"]
    told = subprocess.run(command, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=True)
    lines = told.stdout.partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == ["demo", "up", "new", "test", "check", "bench", "clean"]
    assert all(len(line.split()) > 3 for line in lines)


def test_without_a_venv_module_one_line_says_what_to_install(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "venv", None)
    with pytest.raises(setup.Missing, match="no working venv module; install it") as missing:
        setup.development(root)
    assert "\n" not in str(missing.value)


def test_a_python_that_is_too_old_can_read_the_line_that_says_so() -> None:
    """Python 3.6 knows no `from __future__ import annotations`, and would show a syntax error instead."""
    parsed = ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 6))
    imported = {node.module for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom)}
    assert "__future__" not in imported
