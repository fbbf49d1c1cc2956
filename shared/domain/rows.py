"""Rows as text: what is scored, and what was answered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Rows(msgspec.Struct, frozen=True):
    """A table of text, each row of the header's length."""

    columns: list[str]
    values: list[list[str]]

    def only(self, columns: Sequence[str]) -> Rows:
        """Return these columns, in this order; raises ValueError, naming it, for one that is not there."""
        if columns == self.columns:
            return self
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise ValueError(f"has no column {missing[0]!r}; its columns are: {', '.join(self.columns)}")
        places = [self.columns.index(name) for name in columns]
        return Rows(list(columns), [[row[place] for place in places] for row in self.values])

    def at(self, places: Sequence[int]) -> Rows:
        """Return the rows at these places, from 0."""
        return Rows(self.columns, [self.values[place] for place in places])
