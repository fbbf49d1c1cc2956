"""`run.py bench app --trace`: every call of one retraining, in order, with its time and the functions that need it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from local.azurite import azurite
from local.bench.app import app_that_waits_for_nothing, retraining
from local.bench.rows import ms
from local.datasets import as_csv
from local.workplace import workplace

TARGETS = (1, 2)


def trace(folder: Path) -> None:
    """Print the calls of a retraining with one target, then with two. One before it has made what is made once."""
    with azurite() as storage, workplace(storage, folder / "trace") as place:
        for targets in TARGETS:
            app = app_that_waits_for_nothing(place.settings, targets)
            for rows in (300 + targets, 400 + targets):
                path = place.drop(f"{rows}.csv", as_csv(place.header, place.rows[:rows]))
                calls = retraining(app, storage, path)
            print(f"A retraining with {targets} target{'s'[: targets - 1]}")
            for number, call in enumerate(calls, 1):
                line = f"{number:3} {call.to:7} {call.method:6} {call.what:70.70} {call.status} {ms(call.seconds):>8}"
                print(f"{line}  {call.reason}")
            for to in ("storage", "service"):
                methods = Counter(call.method for call in calls if call.to == to)
                line = ", ".join(f"{count} {method}" for method, count in methods.most_common())
                print(f"{to} calls: {methods.total()} ({line})")
            print()
