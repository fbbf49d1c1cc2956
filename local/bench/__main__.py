"""`run.py bench [app|arrival|studio|fleet]`: everything measured in one run, as one table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.bench import app, arrival, fleet, studio
from local.bench.rows import Row
from local.children import end_in_order


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py bench", description="Measure the app and the local Studio.")
    subjects: dict[str, Callable[[Path, float], Iterator[Row]]] = {
        "app": app.measure,
        "arrival": arrival.measure,
        "studio": lambda folder, _: studio.measure(folder),
        "fleet": lambda folder, _: fleet.measure(folder, chosen.endpoints),
    }
    parser.add_argument("subject", nargs="?", choices=subjects, help="one of them; all unless given")
    parser.add_argument("--gib", type=float, default=2.0, help="size of the large data sets")
    parser.add_argument("--endpoints", type=int, default=1000, help="endpoints of the fleet")
    chosen = parser.parse_args()
    end_in_order()
    console = Console(highlight=False)
    console.width = max(console.width, 130)
    table = Table("what", "measured", "against", "ratio", box=None, padding=(0, 3, 0, 0), header_style="bold")
    try:
        with console.status("measuring"), tempfile.TemporaryDirectory(prefix="relearn-bench-") as folder:
            for subject, measure in subjects.items():
                if chosen.subject in (None, subject):
                    for row in measure(Path(folder) / subject, chosen.gib):
                        table.add_row(*row)
    finally:  # what was measured before something failed was measured
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
