"""The same work on many things, several at a time: what it waits for is the storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 8  #: fewer than the 10 connections that the storage client keeps open


def at_once(work: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """Return the results in the order of the things. The first failure is raised, and what had not begun is left."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, things))
