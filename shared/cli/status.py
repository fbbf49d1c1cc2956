"""`status`: what is live, what is under way, what waits for a person."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.base.errors import BadConfiguration
from shared.base.threads import at_once
from shared.cli.names import fleet_of, known
from shared.cli.output import show_json, show_table, tell
from shared.cli.place import DONE, NOTHING, Stopped, add_common, open_app

if TYPE_CHECKING:
    from shared.app import App
    from shared.cli.output import Cell
    from shared.domain.jobs import RetrainingJob

Row = tuple["Cell", ...]


def add(commands: Any) -> None:
    status = commands.add_parser("status", help="what is live, what is under way, what waits for a person")
    status.add_argument("names", nargs="*", metavar="PIPELINE|FLEET", help="only these; else all, fleets as one line")
    status.add_argument("--members", action="store_true", help="a line for each member of a fleet too")
    add_common(status)
    status.set_defaults(run=_status)


def _status(chosen: argparse.Namespace) -> int:
    from shared.cli.views import STATUS

    app = open_app(chosen)
    fleets, names = _names(app, chosen)
    stored = at_once(app.records.load, app.records.active())
    active = [each.job for each in stored if each and not each.job.final]
    if not chosen.names:  # a job may be of a pipeline that neither the file nor the records have
        active_of = {job.pipeline for job in active}
        names += sorted(name for name in active_of - {*names} if not fleet_of(name, fleets))
    found = [_fleet_status(app, fleet, active) for fleet in fleets if fleet in names]
    found += at_once(lambda name: _pipeline_status(app, name, active), [name for name in names if name not in fleets])
    if chosen.json:
        show_json([shown for shown, _ in found])
    elif not found:
        raise Stopped("there is no pipeline yet: neither the file nor the records have one", NOTHING)
    else:
        show_table(STATUS, [row for _, row in found])
    return DONE


def _names(app: App, chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the fleets of the file, and the names to show: those given, or all of the file and of the records."""
    try:
        fleets, entries = list(app.pipelines.fleets), [*app.pipelines.alone, *app.pipelines.fleets]
    except BadConfiguration as error:
        tell(f"only what the records have is shown: {error}")
        fleets, entries = [], []
    recorded = app.records.pipelines()
    names = [name if name in recorded else known(app, name) for name in chosen.names]
    names = names or [*entries, *(name for name in recorded if name not in entries and not fleet_of(name, fleets))]
    if chosen.members:
        names += [member for fleet in fleets if fleet in names for member in app.pipelines.members(fleet)]
    return fleets, list(dict.fromkeys(names))


def _pipeline_status(app: App, name: str, active: Sequence[RetrainingJob]) -> tuple[dict[str, Any], Row]:
    from shared.cli.views import attention, status_row

    champion, watched = app.records.champion(name), app.records.load_watch(name)
    watch = watched.watch if watched else None
    jobs = [job for job in active if job.pipeline == name]
    shown = {
        "pipeline": name,
        "live": champion.live,
        "change": champion.change and {"to": champion.change.entry, "phase": champion.change.phase},
        "jobs": [{"id": job.id, "state": job.state, "trouble": job.trouble} for job in jobs],
        "watched_until": watch.until if watch else None,
        "attention": attention(jobs, watch),
    }
    return shown, status_row(name, champion, jobs, watch, datetime.now(UTC))


def _fleet_status(app: App, fleet: str, active: Sequence[RetrainingJob]) -> tuple[dict[str, Any], Row]:
    from shared.cli.views import attention, fleet_row

    members = app.pipelines.members(fleet)
    recorded = [name for name in app.records.pipelines() if name in set(members)]
    latest = app.rollouts.latest(fleet)
    rollout = latest.rollout if latest else None
    jobs = [job for job in active if fleet_of(job.pipeline, [fleet])]
    shown = {
        "fleet": fleet,
        "members": len(members),
        "live": sum(champion.live is not None for champion in at_once(app.records.champion, recorded)),
        "jobs": dict(Counter(job.state.value for job in jobs)),
        "waiting": len(app.records.parked(fleet)),
        "rollout": rollout and {"number": rollout.number, "course": rollout.course, "text": rollout.text},
        "attention": attention(jobs, None),
    }
    return shown, fleet_row(shown)
