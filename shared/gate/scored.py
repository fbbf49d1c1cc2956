"""The held-out rows as the training service scored them."""

from __future__ import annotations

from collections.abc import Iterator

from shared.rows import Rows


def read_scored(chunks: Iterator[bytes], label: str, at_most: int) -> tuple[Rows, int]:
    """Return a sample of the rows and how many there were."""
    raise NotImplementedError
