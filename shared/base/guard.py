"""A failure of one item does not stop the work on the others."""

import logging
from collections.abc import Callable
from typing import TypeVar

from shared.base.errors import RecordChanged, RetrainingError

T = TypeVar("T")


def guarded(work: Callable[[], T], otherwise: T, what: str, log: logging.Logger) -> T:
    """Return the work's result, or `otherwise` when it fails; the log names `what`.

    The next run tries again. A record that changed meanwhile is not logged: another run works on the same item.
    """
    try:
        return work()
    except RecordChanged:
        return otherwise
    except RetrainingError as error:
        log.warning("%s waits: %s", what, error)
    except Exception:  # an error of the program stops only this item; the log has the traceback
        log.exception("%s waits: an error of the program", what)
    return otherwise
