"""The frame of the workspace's pages, and its lists by pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from aml.errors import ArmError
from aml.state.records import Records
from service.database import Record
from service.page.frame import Frame
from service.page.paging import AT_ONCE, Slice, number_of

FRAME = Frame(product="Local Azure ML", folder=Path(__file__).parent, place="/page", error=ArmError)

T = TypeVar("T", bound=Record)


def slice_of(records: Records, kind: type[T], parent: str, query: Mapping[str, str], size: int = AT_ONCE) -> Slice[T]:
    """Return a page of the parent's records, the newest first. What is not on the page is not read."""
    after, before = number_of(query.get("after", "")), number_of(query.get("before", ""))
    if before:
        found, newer = records.page(kind, parent, _every, before, size)
        if newer:
            return Slice(found[::-1], f"before={newer}", f"after={before + 1}")
        after = 0  # the newest page, which is always full
    found, older = records.page(kind, parent, _every, after, size, newest_first=True)
    return Slice(found, f"before={after - 1}" if after > 1 else None, f"after={older}" if older else None)


def _every(_: Record) -> bool:
    return True
