"""Libraries are loaded only when they are needed, and without the garbage collector, which works again afterwards."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys

import pytest

from local.children import ROOT
from service.loading import loading
from studio.jobs import prepared
from studio.learning.ilearner import pools


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_loaded_is_left_by_the_collector_which_then_works_again(fails: bool) -> None:
    before = gc.get_freeze_count()
    made: list[list[int]] = []
    try:
        with loading():
            assert not gc.isenabled()
            made += [[number] for number in range(1000)]
            if fails:
                raise ImportError("a library that is missing")
    except ImportError:
        assert fails
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + 1000
    frozen = {id(each) for each in gc.get_objects()}
    assert not any(id(each) in frozen for each in made)


def test_commands_and_the_studio_start_without_the_libraries_of_learning() -> None:
    """They take seconds to load. `new` asks its questions before, and says what is wrong with the answers."""
    commands = "local.addresses, local.demo.studio, local.drop, local.new.__main__, local.up, studio.server"
    code = f"import sys, {commands}; print({{'numpy', 'sklearn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_what_a_process_looks_up_once_is_known_before_jobs_are_copies_of_it() -> None:
    pools.cache_clear()
    importlib.reload(prepared)
    assert pools.cache_info().currsize == 1
