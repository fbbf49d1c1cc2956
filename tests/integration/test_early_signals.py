"""A local server gets SIGTERM before it runs, right after it has announced its addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.children import ROOT
from tests.support.waiting import PATIENCE

# The signal comes while Python clears up an object, where it drops an exception.
PROGRAM = """
import contextlib, importlib, signal, sys, weakref
serving, name = importlib.import_module(sys.argv[1] + ".cli.serving"), sys.argv[1]
announced = serving.announced

@contextlib.contextmanager
def told_to_end_at_once(folder, **addresses):
    with announced(folder, **addresses):
        what = type("What", (), {})()
        reference = weakref.ref(what, lambda _: signal.raise_signal(signal.SIGTERM))
        del what
        yield

serving.announced = told_to_end_at_once
sys.argv = [name, "serve", *sys.argv[2:]]
sys.exit(importlib.import_module(name + ".__main__").main())
"""


@pytest.mark.parametrize("server", ["studio", "aml"])
def test_a_signal_that_comes_before_a_server_runs_ends_it_in_order(
    server: str, azurite: Azurite, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, server, "--data", str(tmp_path / "data"), "--control"],
        cwd=ROOT,
        env={**os.environ, f"{server.upper()}_STORAGE": azurite.connection_string},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert '"address"' in done.stdout
    assert (tmp_path / "data").is_dir()
    assert not (tmp_path / "data" / "running.json").exists()
