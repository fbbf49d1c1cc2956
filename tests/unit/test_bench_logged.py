"""What a benchmark says of what was logged meanwhile."""

from __future__ import annotations

import logging

from local.bench.logged import Logged


def test_a_kind_of_warning_is_one_line_and_an_error_is_named_with_its_exception() -> None:
    logged, log = Logged(), logging.Logger("measured")
    log.addHandler(logged)
    for number in range(300):
        log.warning("%s is set aside: %s", f"{number}.csv", "x " * 500)
    log.info("nobody asks for this")
    try:
        raise ValueError("the disk is full")
    except ValueError:
        log.exception("job %s waits", 7)
    warning, error = logged.lines()
    assert warning.startswith("logged 300 x warning, the first: 0.csv is set aside: x x ")
    assert len(warning) < 300
    assert error == "logged 1 x error, the first: job 7 waits: ValueError('the disk is full')"


def test_nothing_logged_is_no_line() -> None:
    assert Logged().lines() == []
