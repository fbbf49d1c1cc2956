"""How calls are divided by percent: evenly, so that every 100 calls split exactly as ordered."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

NOBODY = ""


class Split:
    """The parts are percents; where their sum is below 100, the rest goes to nobody."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        self.parts = {name: part for name, part in parts.items() if part > 0}
        self._turns = itertools.cycle(turns(self.parts))

    def next(self) -> str:
        return next(self._turns)


def turns(parts: Mapping[str, int]) -> list[str]:
    """Return whose turn each of 100 calls is, each part's turns as far apart as they can be."""
    weights = {**parts, NOBODY: 100 - sum(parts.values())}
    due = dict.fromkeys(weights, 0)
    order = []
    for _ in range(100):
        for name, weight in weights.items():
            due[name] += weight
        chosen = max(due, key=due.__getitem__)
        due[chosen] -= 100
        order.append(chosen)
    return order
