"""Libraries are loaded without the garbage collector, which works again afterwards, also after a failure."""

from __future__ import annotations

import gc

import pytest

from service.loading import loading


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
