"""The set-up: what it says when it cannot go on, and what `clean` removes."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from local import setup
from local.children import ROOT
from local.setup.environments import Environment
from local.setup.problems import Missing, cause
from local.setup.staging import FOLDER


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("error: failed to write: No space left on device (os error 28)", "is full: 320 MB are needed"),
        ("OSError: [Errno 122] Disk quota exceeded", "is full: 320 MB are needed"),
        ("error: failed to create directory: Read-only file system (os error 30)", "cannot be written"),
        ("npm error code EACCES", "cannot be written"),
        ("dns error: failed to lookup address information: Name or service not known", "cannot be reached"),
        ("npm error code ENOTFOUND", "cannot be reached"),
        ("NewConnectionError: Connection refused", "cannot be reached"),
        ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("Hash mismatch for tiny", "its hash differs"),
        ("hint: tiny==1.0 has no wheels with a matching Python ABI tag", "no build for this Python"),
    ],
)
def test_each_cause_has_its_own_message(output: str, shown: str, tmp_path: Path) -> None:
    assert shown in str(cause(".venv", output, tmp_path, 320))


def test_a_proxy_is_named_by_its_setting_and_never_by_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:secret@127.0.0.1:1")
    shown = str(cause(".venv", "ProxyError: Cannot connect to proxy http://ann:secret@127.0.0.1:1", tmp_path, 1))
    assert "is the proxy in HTTPS_PROXY right" in shown
    other = str(cause(".venv", "error: http://ann:secret@127.0.0.1:1 said no", tmp_path, 1))
    assert "secret" not in shown + other


def test_clean_removes_what_was_made_and_nothing_else(tmp_path: Path) -> None:
    for name in (".venv", ".venv-local", ".relearn", FOLDER, "shared/base/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data.csv").write_text("kept")
    setup.clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "shared"]
    assert list((tmp_path / "shared" / "base").iterdir()) == []


def test_without_pip_and_venv_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python3"
    bare.write_text('#!/bin/sh\necho "$0: No module named $2" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(bare))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (tmp_path / "tiny.txt").write_text("tiny-package==1.0\n")
    with pytest.raises(Missing, match="has neither pip nor a working venv module; install one of them") as missing:
        setup.prepare(tmp_path, Environment(tmp_path, ".venv-tiny", "tiny.txt", 1))
    assert "\n" not in str(missing.value)


def test_clients_that_cannot_be_installed_leave_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python3"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(bare))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    requirements = tmp_path / "tests" / "clients" / "azureml" / "requirements.txt"
    requirements.parent.mkdir(parents=True)
    requirements.write_text("tiny-package==1.0\n")
    settings = setup.azureml_clients(tmp_path)
    assert ".venv-azureml could not be installed" in settings.pop("RELEARN_AZUREML_MISSING")
    assert settings == {}


def test_a_python_that_is_too_old_can_read_the_line_that_says_so() -> None:
    """Python 3.6 knows no `from __future__ import annotations`, and would show a syntax error instead."""
    parsed = ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 6))
    imported = {node.module for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom)}
    assert "__future__" not in imported
