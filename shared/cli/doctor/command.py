"""Runs all checks of `doctor`, in the order in which one needs another."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.cli.doctor.finding import Finding, Health, guarded, ok, warning, wrong
from shared.cli.names import known
from shared.cli.output import Fact, show_facts, show_json, spinner, tell, utc
from shared.cli.pages import count
from shared.cli.place import DONE, FAILED, USAGE, Commands, Stopped, chosen_settings
from shared.cli.status import active_jobs, alive_until, files_that_wait
from shared.domain.stuck import stuck_jobs
from shared.store.damage import damaged

if TYPE_CHECKING:
    from shared.app import App

_SIGNS = {Health.OK: ("✓", "green"), Health.WARNING: ("!", "yellow"), Health.WRONG: ("✗", "bold red")}
WITHIN = 120  #: seconds
_STILL = timedelta(hours=1)  #: without a sweep: the app seems not to run


def add(commands: Commands) -> None:
    doctor = commands.add(
        "doctor",
        _doctor,
        "check settings, storage, rights, services, keys, ports and names, and say what to do about each",
        description="Changes nothing: a probe is written to the container `retraining`, and deleted. Of a fleet, what "
        "its members share is looked at once, and members that are named.",
    )
    doctor.add_argument("pipelines", nargs="*", metavar="PIPELINE", help="only the services of these; else all")
    doctor.add_argument("--all", action="store_true", help="show what is well too")
    doctor.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write the shapes of all calls to the services to this new file: methods, statuses, names and types of "
        "members, and no value, key, id or name of yours; for who helps you when the real service differs",
    )
    doctor.add_argument(
        "--within", type=count, default=WITHIN, metavar="SECONDS", help=f"give up after so many seconds; {WITHIN}"
    )


def _doctor(chosen: argparse.Namespace) -> int:
    from shared.app import App

    values, source = chosen_settings(chosen.settings)
    app = App(Settings(values))
    with _recording(app, chosen.record), spinner("looking", quiet=chosen.json or chosen.verbose) as status:
        findings = list(in_time(_findings(app, source, chosen.pipelines), chosen.within, status))
    if chosen.json:
        show_json(findings)
    else:
        for each in findings:
            if chosen.all or each.health is not Health.OK:
                _show(each)
        counts = {health: sum(each.health is health for each in findings) for health in Health}
        tell(f"{counts[Health.OK]} ok, {counts[Health.WARNING]} warnings, {counts[Health.WRONG]} wrong")
    return FAILED if any(each.health is Health.WRONG for each in findings) else DONE


@contextmanager
def _recording(app: App, file: Path | None) -> Iterator[None]:
    """Write the shapes of the calls that are made meanwhile to a new file, if one is named."""
    if file is None:
        yield
        return
    from shared.cli.doctor.recording import Recorder

    recorder = Recorder()
    try:
        with file.open("x", encoding="utf-8") as written:
            app.observe(recorder)
            try:
                yield
            finally:
                written.write(recorder.text())
    except FileExistsError:
        raise Stopped(f"{file} is there already; name a new file for --record", USAGE) from None
    except OSError as error:
        raise Stopped(f"{file} cannot be written: {error.strerror}") from None
    tell(
        f"{file}: the shapes of {recorder.count} calls, without values and names of yours; look at it before you "
        "pass it on"
    )


def _findings(app: App, source: str, only: list[str]) -> Iterator[Finding]:
    from shared.cli.doctor import parts

    found: list[Finding] = []
    for each in _of_app(app, source):
        found.append(each)
        yield each
    yield from parts.look(app, found)
    yield from _of_services(app, only)


def _of_app(app: App, source: str) -> Iterator[Finding]:
    from shared.cli.doctor import settings, versions

    yield ok("settings", f"from {source}")
    yield from versions.look()
    of_settings = [*settings.look(app.settings), *settings.of_the_file(app.settings.pipelines_file, app.settings)]
    yield from of_settings
    known = {each.found for each in of_settings if each.health is not Health.OK}
    # A setting that is wrong is named once, and not again by everything that needs it.
    yield from (each for each in _of_storage(app) if each.found not in known)
    try:
        pipelines = app.pipelines
    except BadConfiguration as error:
        yield wrong("pipelines file", str(error), "correct it; the services are checked when it can be read")
        return
    yield ok("pipelines file", f"{app.settings.pipelines_file.name} can be read; its pipelines: {pipelines.entries}")
    yield from guarded("files and jobs", lambda: _stuck(app))


def _of_storage(app: App) -> Iterator[Finding]:
    from shared.cli.doctor import storage

    yield from guarded("storage", lambda: storage.look(app.settings, app.data_container))
    yield from guarded("timers of the app", lambda: _timers(app))
    yield from guarded("records", lambda: _records(app))


def _of_services(app: App, only: list[str]) -> Iterator[Finding]:
    from shared.cli.doctor import services

    try:
        pipelines = app.pipelines
    except BadConfiguration:
        return  # found above
    for name in [known(app, name) for name in only] or [*pipelines.alone, *pipelines.fleets]:
        if name in pipelines.fleets:
            yield from services.look_at_fleet(app, pipelines.fleets[name])
        else:
            yield from services.look(app, pipelines[name])


def _records(app: App) -> Iterator[Finding]:
    """Look which records of what is under way cannot be read."""
    lines = damaged(app.documents)
    for line in lines:
        yield wrong(
            "records", line, "restore an earlier version of the blob, or delete it; other records are not affected"
        )
    if not lines:
        yield ok("records", "all records of what is under way can be read")


def _timers(app: App) -> Iterator[Finding]:
    """Look when the app last swept the data, which it does as long as it runs."""
    what, see = "timers of the app", "see that the function app runs, and its log"
    swept, polled = app.records.arrivals.swept_until(app.data_container), app.records.polls.last()
    now = datetime.now(UTC)
    if polled and now > alive_until(polled, app.settings.get("POLL_SCHEDULE")):
        yield warning(what, f"the last poll was {utc(polled)} UTC", see)
    elif swept is None:
        yield warning(what, "no sweep is recorded yet", "start the function app, or see its log if it runs")
    elif now - swept > _STILL:
        yield warning(what, f"the last sweep was {utc(swept)} UTC", see)
    else:
        yield ok(what, f"the last sweep was {utc(swept)} UTC")


def _stuck(app: App) -> Iterator[Finding]:
    """Look for files and jobs that are stuck."""
    broken: list[str] = []  # `records` names them
    jobs = active_jobs(app, broken)
    found = [*files_that_wait(app, jobs, broken), *stuck_jobs(jobs, datetime.now(UTC))]
    for each in found:
        yield warning(
            f"{each.pipeline}, {each.name}", f"{each.state} since {utc(each.since)}: {each.reason}", each.remedy
        )
    if not found:
        yield ok("files and jobs", "no open file or job is stuck")


def _show(finding: Finding) -> None:
    """Print what was looked at, and below it how it is and what to do."""
    sign, style = _SIGNS[finding.health]
    facts: list[Fact] = [("" if finding.health is Health.OK else "found", finding.found)]
    if finding.remedy:
        facts.append(("do", finding.remedy))
    show_facts((f"{sign} {finding.what}", style), facts)


def in_time(findings: Iterator[Finding], seconds: float, status: Any = None) -> Iterator[Finding]:
    """Pass the findings on as long as there is time, and show on a terminal how far it is.

    They are made in a thread, which is left alone when the time is over: a call that hangs cannot be ended.
    """
    made: Queue[Finding | BaseException | None] = Queue()
    threading.Thread(target=_make, args=(findings, made), daemon=True).start()
    until, last = time.monotonic() + seconds, "nothing"
    while True:
        try:
            each = made.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            found = f"gave up after {seconds:g} s; the last that was looked at is {last}"
            yield wrong("doctor", found, "see that what comes next answers, or give more time: --within 600")
            return
        if each is None:
            return
        if isinstance(each, BaseException):
            raise each
        last = each.what
        if status is not None:
            status.update(f"looked at {last}")
        yield each


def _make(findings: Iterator[Finding], made: Queue[Finding | BaseException | None]) -> None:
    try:
        for each in findings:
            made.put(each)
        made.put(None)
    except BaseException as error:  # raised again where the findings are read
        made.put(error)
