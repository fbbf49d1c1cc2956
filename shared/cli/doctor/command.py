"""Everything that is looked at, in the order in which one thing needs another."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.base.errors import BadConfiguration, RetrainingError
from shared.base.settings import Settings
from shared.cli.doctor.finding import Finding, Health, looked, ok, warning, wrong
from shared.cli.names import known
from shared.cli.output import Cell, show_json, show_table, tell, told
from shared.cli.place import DONE, FAILED, add_common, chosen_settings

if TYPE_CHECKING:
    from shared.app import App

_SIGNS = {Health.OK: ("✓", "green"), Health.WARNING: ("!", "yellow"), Health.WRONG: ("✗", "bold red")}
_STILL = timedelta(hours=1)  #: without a sweep: the app seems not to run


def add(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check settings, storage, rights, services, keys, ports and names, and say what to do about each",
        description="Changes nothing: a probe is written to the container `retraining`, and deleted. Of a fleet, what "
        "its members share is looked at once, and members that are named.",
    )
    doctor.add_argument("pipelines", nargs="*", metavar="PIPELINE", help="only the services of these; else all")
    doctor.add_argument("--all", action="store_true", help="show what is well too")
    add_common(doctor)
    doctor.set_defaults(run=_doctor)


def _doctor(chosen: argparse.Namespace) -> int:
    from shared.app import App

    values, source = chosen_settings(chosen.settings)
    app = App(Settings(values))
    with _looking(chosen) as status:
        findings = list(_followed(_findings(app, source, chosen.pipelines), status))
    shown = [each for each in findings if chosen.all or each.health is not Health.OK]
    if chosen.json:
        show_json(findings)
    else:
        if shown:
            show_table(("", "what", "how it is", "what to do"), map(_row, shown))
        counts = {health: sum(each.health is health for each in findings) for health in Health}
        tell(f"{counts[Health.OK]} well, {counts[Health.WARNING]} to look at, {counts[Health.WRONG]} wrong")
    return FAILED if any(each.health is Health.WRONG for each in findings) else DONE


def _findings(app: App, source: str, only: list[str]) -> Iterator[Finding]:
    from shared.cli.doctor import services, settings, storage, versions

    yield ok("settings", f"from {source}")
    yield from versions.look()
    yield from settings.look(app.settings)
    yield from settings.of_the_file(app.settings.pipelines_file, app.settings)
    yield from _guarded("storage", lambda: storage.look(app.settings, app.data_container))
    yield _timers(app)
    yield from _records(app)
    try:
        pipelines = app.pipelines
    except BadConfiguration as error:
        yield wrong("pipelines file", str(error), "mend it; the services are looked at once it can be read")
        return
    yield ok("pipelines file", f"{app.settings.pipelines_file.name} can be read; its pipelines: {pipelines.entries}")
    yield from _guarded("files and jobs", lambda: _stuck(app))
    for name in [known(app, name) for name in only] or [*pipelines.alone, *pipelines.fleets]:
        if name in pipelines.fleets:
            yield from services.look_at_fleet(app, pipelines.fleets[name])
        else:
            yield from services.look(app, pipelines[name])


def _guarded(what: str, look: Any) -> Iterator[Finding]:
    try:
        yield from look()
    except RetrainingError as error:  # a setting that was told of above
        yield wrong(what, str(error), "mend the setting first")


def _records(app: App) -> Iterator[Finding]:
    """Look which records of what is under way cannot be read."""
    from shared.store.damage import damaged

    try:
        lines = damaged(app.documents)
    except RetrainingError as error:
        yield wrong("records", str(error), "look at storage RETRAINING_STORE first")
        return
    for line in lines:
        yield wrong(
            "records", line, "put an earlier version of the blob back, or delete it; the others are not held up"
        )
    if not lines:
        yield ok("records", "those of what is under way can be read")


def _timers(app: App) -> Finding:
    """Look when the app last swept the data, which it does by itself as long as it runs."""
    what = "timers of the app"

    def look() -> Finding:
        swept = app.records.arrivals.swept_until(app.data_container)
        if swept is None:
            return warning(what, "no sweep is recorded yet", "start the function app, or see its log if it runs")
        if datetime.now(UTC) - swept > _STILL:
            return warning(what, f"the last sweep was {told(swept)} UTC", "see that the function app runs, and its log")
        return ok(what, f"the last sweep was {told(swept)} UTC")

    return looked(what, look)


def _stuck(app: App) -> Iterator[Finding]:
    """Look for files and jobs that do not get on."""
    from shared.cli.stuck import active_jobs, files_that_wait
    from shared.domain.stuck import stuck_jobs

    broken: list[str] = []  # `records` names them
    jobs = active_jobs(app, broken)
    found = [*files_that_wait(app, jobs, broken), *stuck_jobs(jobs, datetime.now(UTC))]
    for each in found:
        yield warning(
            f"{each.pipeline}, {each.name}", f"{each.state} since {told(each.since)}: {each.reason}", each.remedy
        )
    if not found:
        yield ok("files and jobs", "every file and job that is open gets on")


def _row(finding: Finding) -> tuple[Cell, ...]:
    return (_SIGNS[finding.health], finding.what, finding.told, finding.remedy)


def _looking(chosen: argparse.Namespace) -> Any:
    if chosen.json or chosen.verbose:
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("looking")


def _followed(findings: Iterable[Finding], status: Any) -> Iterator[Finding]:
    """Pass the findings on, and show on a terminal how far it is."""
    for finding in findings:
        if status is not None:
            status.update(finding.what)
        yield finding
