"""One thing of many that fails must not keep the others from their turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from shared.base.errors import RecordChanged, RetrainingError

T = TypeVar("T")


def guarded(work: Callable[[], T], otherwise: T, what: str, log: logging.Logger) -> T:
    """Return what the work returns, or `otherwise` when it fails; the log says so of `what`.

    The next run tries again. When a record changed meanwhile, another run is at work on the same thing.
    """
    try:
        return work()
    except RecordChanged:
        return otherwise
    except RetrainingError as error:
        log.warning("%s waits: %s", what, error)
    except Exception:
        log.exception("%s waits: an error of the program", what)
    return otherwise
