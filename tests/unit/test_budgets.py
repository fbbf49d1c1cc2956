"""What one call of a timer may begin fits into the time that the host gives a call."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

import function_app
from shared.base.budgets import BUDGETS_SECONDS, CALL_SECONDS, LAST_STEP_SECONDS

HOST = json.loads((Path(__file__).resolve().parents[2] / "host.json").read_text("utf-8"))


def test_the_time_of_a_call_is_the_hosts_time_out() -> None:
    hours, minutes, seconds = map(int, HOST["functionTimeout"].split(":"))
    assert timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds() == CALL_SECONDS


@pytest.mark.parametrize("function", BUDGETS_SECONDS)
def test_the_budgets_of_a_call_leave_time_for_what_it_began_last(function: str) -> None:
    assert hasattr(function_app, function)
    assert BUDGETS_SECONDS[function] + LAST_STEP_SECONDS <= CALL_SECONDS
