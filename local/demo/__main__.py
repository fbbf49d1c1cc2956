"""`run.py demo`: the whole product on this machine, step by step, each step checked while it happens."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from local.children import NotStarted, end_in_order
from local.commands import parser_of
from local.demo.story import NotShown

#: What a reader may do after the demo.
NEXT = (
    ("Keep it running:", "python3 run.py up"),
    ("With your own data:", "python3 run.py new NAME DATA.csv --label COLUMN"),
    ("See what is live:", "python3 run.py status"),
)


def main() -> int:
    chosen = parser_of("demo").parse_args()
    console = Console(record=chosen.svg is not None, width=116 if chosen.svg else None, highlight=False)
    begun = time.monotonic()
    end_in_order()
    folder = Path(tempfile.mkdtemp(prefix="relearn-"))
    run, steps = _story(chosen.azureml)
    try:
        run(console, folder, chosen.keep)
    except (NotShown, NotStarted) as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(error))}")
        return 1
    finally:
        if not chosen.keep:
            shutil.rmtree(folder, ignore_errors=True)
    console.print(f"\n[bold green]All {steps} steps happened and were checked[/] in {time.monotonic() - begun:.0f} s.")
    for what, command in NEXT:
        console.print(f"{what:<28}[cyan]{command}[/]", soft_wrap=True)
    if chosen.keep:
        console.print(f"{'What it made:':<28}{folder}", soft_wrap=True)
    if chosen.svg:
        picture = console.export_svg(title="python3 run.py demo")
        # The picture must not fetch its font from another host; the reader's own monospace one will do.
        chosen.svg.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), "utf-8")
    return 0


def _story(azureml: bool) -> tuple[Callable[[Console, Path, bool], None], str]:
    """Return the story, and how many steps it has."""
    if azureml:
        from local.demo.azureml import run

        return run, "six"
    from local.demo.studio import run

    return run, "eight"


if __name__ == "__main__":
    sys.exit(main())
