"""Loading of large libraries, whose objects stay until the end of the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Have the garbage collector leave the objects that are made meanwhile, now and later.

    It would look at all of them again and again, which takes a sixth of the time in which scikit-learn is loaded.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
