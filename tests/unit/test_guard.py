"""One thing of many that fails keeps none of the others from its turn."""

import logging

import pytest

from shared.base.errors import AskHuman, RecordChanged
from shared.base.guard import guarded

log = logging.getLogger("test")


def failing(error: BaseException) -> str:
    raise error


def test_a_record_that_another_run_changed_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert guarded(lambda: failing(RecordChanged("jobs/1")), "as it was", "Job 1", log) == "as it was"
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("error", "text"), [(AskHuman("the key is wrong"), "Job 1 waits: the key is wrong"), (KeyError("x"), "KeyError")]
)
def test_a_failure_is_logged_and_the_loop_goes_on(
    caplog: pytest.LogCaptureFixture, error: Exception, text: str
) -> None:
    assert guarded(lambda: failing(error), "as it was", "Job 1", log) == "as it was"
    assert text in caplog.text


def test_the_end_of_the_process_is_not_held_up() -> None:
    with pytest.raises(KeyboardInterrupt):
        guarded(lambda: failing(KeyboardInterrupt()), "as it was", "Job 1", log)
