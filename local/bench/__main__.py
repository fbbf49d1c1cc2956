"""`run.py bench [app|studio]`: everything measured in one run, as one table."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.bench import app, studio
from local.children import end_in_order


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py bench", description="Measure the app and the local Studio.")
    parser.add_argument("subject", nargs="?", choices=("app", "studio"), help="one of them; both unless given")
    parser.add_argument("--gib", type=float, default=2.0, help="size of the app's large blob")
    chosen = parser.parse_args()
    end_in_order()
    console = Console(highlight=False)
    console.width = max(console.width, 130)
    table = Table("what", "measured", "against", "ratio", box=None, padding=(0, 3, 0, 0), header_style="bold")
    try:
        with console.status("measuring"), tempfile.TemporaryDirectory(prefix="relearn-bench-") as folder:
            if chosen.subject != "studio":
                for row in app.measure(Path(folder) / "app", chosen.gib):
                    table.add_row(*row)
            if chosen.subject != "app":
                for row in studio.measure(Path(folder) / "studio"):
                    table.add_row(*row)
    finally:  # what was measured before something failed was measured
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
