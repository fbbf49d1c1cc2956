"""A long list, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

AT_ONCE = 50  #: what a page of a list holds

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """The items of one page; pages are counted from 1."""

    items: Sequence[T]
    number: int
    pages: int
    first: int  #: number of its first item among all
    total: int

    @property
    def last(self) -> int:
        return self.first + len(self.items) - 1


def part(items: Sequence[T], number: str) -> Part[T]:
    """Return that page of the items, or the nearest one for a number that cannot be read or is out of range."""
    pages = max(1, -(-len(items) // AT_ONCE))
    wanted = min(max(1, int(number)), pages) if number.isascii() and number.isdigit() and len(number) < 9 else 1
    start = (wanted - 1) * AT_ONCE
    return Part(items[start : start + AT_ONCE], wanted, pages, start + 1, len(items))


@dataclass(frozen=True)
class Slice(Generic[T]):
    """The items of one page of a list that is never read whole. The links lead to the pages beside it, or are None."""

    items: Sequence[T]
    newer: str | None = None
    older: str | None = None


def number_of(text: str) -> int:
    """Return the number of a query, or 0 for what is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
