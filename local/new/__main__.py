"""`run.py new NAME DATA`: asks at most three questions, then makes a pipeline of a person's own data."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console
from rich.markup import escape

from local.children import ROOT, NotStarted
from local.new.making import LEARNERS, METRIC, Made, Refused, Wanted, make, refuse_name
from local.new.place import open_place
from local.new.table import TableSeen, kinds_of, likely_label, look, refuse_label
from shared.base.errors import BadConfiguration
from studio.errors import ModuleError
from studio.experiments.types import Kind
from studio.learning.tables import READABLE, read_table

COLUMNS_SHOWN = 15
_Answer = TypeVar("_Answer", bound=str)


class Ask(Protocol):
    """Returns one of the answers, the first of which is the likely one."""

    def __call__(self, question: str, answers: Sequence[_Answer]) -> _Answer: ...


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = make_parser().parse_args(arguments)
    console = Console(highlight=False)
    try:
        return _new(console, chosen, _ask if sys.stdin.isatty() and not chosen.yes else _likely)
    except (Refused, NotStarted, BadConfiguration, ValueError) as error:
        print(f"new: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("new: stopped; nothing was made", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py new",
        description="Make a pipeline of your own data: train and publish a first model, write the experiment, the "
        "rows of the proof and the entry of pipelines.yaml. Then drop data, and the model is retrained.",
    )
    parser.add_argument("name", metavar="NAME", help="name of the pipeline: lower-case letters, digits and dashes")
    parser.add_argument("data", metavar="DATA", type=Path, help="a table with a header: .csv, .tsv or .arff")
    parser.add_argument("--label", metavar="COLUMN", help="the column to predict")
    parser.add_argument("--kind", choices=list(METRIC), help="what the label is")
    parser.add_argument("--learner", choices=sorted({each for able in LEARNERS.values() for each in able}))
    parser.add_argument("--keep-columns", action="store_true", help="learn from ids, dates and free text too")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the likely answer to each question")
    return parser


def _new(console: Console, chosen: argparse.Namespace, ask: Ask) -> int:
    name, file = chosen.name, chosen.data
    with open_place() as place:
        refuse_name(name, place.pipelines)
        content, columns, table = _read(file)
        _show(console, file.name, table)
        wanted = _wanted(chosen, table, ask)
        console.print("training and publishing the first model", style="dim")
        made = make(place, wanted, content, columns)
        _tell(console, wanted, made, place.container, running=place.running)
    return 0


def _read(file: Path) -> tuple[bytes, dict[str, list[str]], TableSeen]:
    if not file.name.lower().endswith(READABLE):
        raise Refused(f"{file.name} is not a table that a training reads; give one of: {', '.join(READABLE)}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
    try:
        columns = read_table(content, file.name)
    except ModuleError as error:
        raise Refused(f"{file.name}: {error.message}") from None
    return content, columns, look(columns)


def _wanted(chosen: argparse.Namespace, table: TableSeen, ask: Ask) -> Wanted:
    """Ask what the options leave open; at most three questions."""
    names = [column.name for column in table.columns]
    likely = likely_label(table)
    name = chosen.label or ask("Which column is to be predicted?", [likely, *(n for n in names if n != likely)])
    label = table.column(name)
    kinds = kinds_of(label)
    answers: Sequence[Kind] = [chosen.kind] if chosen.kind else kinds
    kind = answers[0] if len(answers) == 1 else ask(f"{name} has {len(label.counts)} different numbers. Is it", answers)
    refuse_label(label, kind)
    if chosen.learner and chosen.learner not in LEARNERS[kind]:
        raise Refused(f"{chosen.learner!r} is not a learner for {kind}; those are: {', '.join(LEARNERS[kind])}")
    if useless := table.useless(name):
        question = f"Leave out what teaches nothing: {', '.join(useless[:5])}{', ...' if len(useless) > 5 else ''}?"
        if chosen.keep_columns or ask(question, ["yes", "no"]) == "no":
            table = table.with_every_column()
    if not table.features(name):
        raise Refused(f"the table has no column to learn from beside {name!r}; --keep-columns learns from all")
    learners = (chosen.learner,) if chosen.learner else LEARNERS[kind]
    return Wanted(name=chosen.name, file=chosen.data.name, label=name, kind=kind, learners=learners, table=table)


def _likely(question: str, answers: Sequence[_Answer]) -> _Answer:  # noqa: ARG001 (an `Ask`)
    return answers[0]


def _ask(question: str, answers: Sequence[_Answer]) -> _Answer:
    """Return one of the answers; an empty line is the first."""
    shown = ", ".join(answers[:12]) + (", ..." if len(answers) > 12 else "")
    while True:
        given = input(f"{question}\n  {shown} [{answers[0]}] ").strip()
        for answer in answers:
            if given in ("", answer):
                return answer
        print(f"  {given!r} is not one of the answers")


def _show(console: Console, file: str, table: TableSeen) -> None:
    missing = f"; missing values are written {', '.join(table.missing)}" if table.missing else ""
    rows = f"{table.rows:,} row{'s' if table.rows != 1 else ''}"
    console.print(f"{escape(file)}: {rows}, {len(table.columns):,} columns{missing}", soft_wrap=True)
    width = min(28, max(len(column.name) for column in table.columns[:COLUMNS_SHOWN]))
    for column in table.columns[:COLUMNS_SHOWN]:
        note = f"  [yellow]left out: {column.useless}[/]" if column.useless else ""
        name = column.name if len(column.name) <= width else f"{column.name[: width - 1]}…"
        console.print(f"  [cyan]{escape(name.ljust(width))}[/]  {column.form.value:<8} {escape(column.seen)}{note}")
    if len(table.columns) > COLUMNS_SHOWN:
        console.print(f"  and {len(table.columns) - COLUMNS_SHOWN:,} more columns")


def _tell(console: Console, wanted: Wanted, made: Made, container: str, *, running: bool) -> None:
    metric = METRIC[wanted.kind]
    tried = ", ".join(f"{learner} {value:.3f}" for learner, value in made.tried.items())
    console.print(f"[bold]{wanted.name}[/]: {wanted.kind}, {made.trained.part.learnt.learner} ({metric}: {tried})")
    for file in made.files:
        console.print(f"  wrote {escape(str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file))}")
    suffix = Path(wanted.file).suffix.lower()
    console.print(f"[bold]drop data at[/]  {container}/{wanted.name}/NAME{suffix}", soft_wrap=True)
    if not running:
        console.print("[bold]start[/]         python3 run.py up", soft_wrap=True)
    console.print(f"[bold]drop[/]          python3 run.py drop NAME{suffix} {wanted.name}/", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
