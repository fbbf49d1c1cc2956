"""`run.py bench [SUBJECT]`: everything measured in one run, or one subject, as one table; or each call."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.bench import app, arrival, azureml, checks, endpoints, fleet, package, poll, studio
from local.bench.logged import Logged
from local.bench.rows import Row
from local.bench.trace import trace
from local.children import end_in_order
from local.commands import parser_of


def main() -> int:
    chosen = parser_of("bench").parse_args()
    subjects: dict[str, Callable[[Path, float], Iterator[Row]]] = {
        "app": app.measure,
        "package": lambda folder, _: package.measure(folder),
        "arrival": arrival.measure,
        "checks": lambda _, gib: checks.measure(gib),
        "poll": lambda folder, _: poll.measure(folder),
        "azureml": lambda folder, _: azureml.measure(folder),
        "studio": lambda folder, _: studio.measure(folder),
        "endpoints": lambda folder, _: endpoints.measure(folder),
        "fleet": lambda folder, _: fleet.measure(folder, chosen.endpoints),
    }
    end_in_order()
    logged = Logged()
    logging.getLogger().addHandler(logged)
    console = Console(highlight=False)
    console.width = max(console.width, 130)
    if chosen.trace:
        with tempfile.TemporaryDirectory(prefix="relearn-bench-") as folder:
            trace(Path(folder))
        return 0
    table = Table("what", "measured", "against", "ratio", box=None, padding=(0, 3, 0, 0), header_style="bold")
    try:
        with console.status("measuring"), tempfile.TemporaryDirectory(prefix="relearn-bench-") as folder:
            for subject, measure in subjects.items():
                if chosen.subject in (None, subject):
                    for row in measure(Path(folder) / subject, chosen.gib):
                        table.add_row(*row)
    finally:  # what was measured before something failed was measured
        console.print(table)
        print(*logged.lines(), sep="\n", end="\n" if logged.lines() else "", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
