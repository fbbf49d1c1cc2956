"""`python -m local.reference`: writes docs/commands.md, the help of each command of the app and the local services."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from local.commands import REFERENCE

_TOP = """# Every command and its options

For looking things up. [operations.md](operations.md) says when to use which. [local-studio.md](local-studio.md) and
[local-azureml.md](local-azureml.md) say what the two local services are.
`python3 run.py COMMAND` runs the app's commands with the settings of `run.py up`, and
`python3 run.py studio COMMAND` the Studio's. Where the app's requirements are installed, `python -m shared COMMAND` is
the same. This file is made from the commands: `python -m local.reference`.
"""
_END = "Next: [operations.md](operations.md) for when to use which, [glossary.md](glossary.md) for the words.\n"


def text() -> str:
    """Return the reference, for a terminal of 80 columns."""
    os.environ["COLUMNS"] = "80"
    from aml.__main__ import make_parser as aml
    from local.new.__main__ import make_parser as new
    from shared.__main__ import make_parser as shared
    from studio.__main__ import make_parser as studio

    parts = [_TOP]
    for title, parser in (
        ("The app", shared()),
        ("The local Studio", studio()),
        ("The local Azure Machine Learning workspace", aml()),
        ("A pipeline of your own data", new()),
    ):
        parts.append(f"## {title}\n")
        for each in _all(parser):
            parts.append(f"### `{each.prog}`\n\n```\n{each.format_help().rstrip()}\n```\n")
    return "\n".join([*parts, _END])


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _all(each)


if __name__ == "__main__":
    (Path(__file__).resolve().parent.parent / REFERENCE).write_text(text(), "utf-8")
    sys.exit(0)
