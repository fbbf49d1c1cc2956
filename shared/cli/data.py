"""`data`: what was dropped and what became of it; `data show`: the columns of one data set, and its drift."""

from __future__ import annotations

import argparse
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from shared.base.errors import DataChanged
from shared.cli.names import find_id, ids_of
from shared.cli.output import show_facts, show_json, show_table, tell
from shared.cli.pages import add_page, first, one_of, show_page
from shared.cli.place import DONE, NOTHING, USAGE, Commands, Stopped, open_app
from shared.cli.views import COLUMNS, DATA, arrival_facts, column_rows, data_rows
from shared.domain.arrivals import Arrival, ArrivalState, arrival_id
from shared.domain.checks import Checks, Drift, Profile, Report, check, columns_of

if TYPE_CHECKING:
    from shared.app import App

_NEWEST = 200  #: arrivals whose paths are compared with a file name
_FORMER = 50  #: arrivals that are looked at for the data that was trained on before


def add(commands: Commands) -> None:
    data = commands.add(
        "data",
        _data,
        "what was dropped and what became of it; `data show DATA`: its columns, and its drift",
        usage="python -m shared data [--state STATE] [--limit N] [--before DATA]\n"
        "                            [PIPELINE|FLEET]\n"
        "       python -m shared data show DATA",
        description="`data show` reads the data set, compares it with what was trained on before, and changes nothing.",
    )
    data.add_argument("pipeline", nargs="?", metavar="PIPELINE|FLEET|show", help="only its data; or `show`")
    data.add_argument("shown", nargs="?", metavar="DATA", help="a path in the container, or the end of an id in `data`")
    data.add_argument("--state", metavar="STATE", help="only what is in this state: quarantined, taken, settling, ...")
    add_page(data, "data")


def _data(chosen: argparse.Namespace) -> int:
    if chosen.pipeline == "show" and chosen.shown:
        return _show(chosen)
    if chosen.shown:
        raise Stopped(f"one pipeline at a time; for one data set: data show {chosen.shown}", USAGE)
    one_of(chosen.state, ArrivalState, "a state of data")
    app = open_app(chosen)
    arrivals = app.records.arrivals
    keys = {"/".join(key): key for key in ids_of(app, chosen.pipeline, arrivals.ids, lambda key: key[0])}

    def load(name: str) -> Arrival | None:
        stored = arrivals.load(*keys[name])
        return stored.record if stored and chosen.state in (None, stored.record.state.value) else None

    return show_page(chosen, "data set", list(keys), load, DATA, data_rows)


def _show(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    arrival = _find(app, chosen.shown)
    former, profile = _former(app, arrival)
    report = _read(app, arrival, profile)
    columns = columns_of(report) if report else []
    if chosen.json:
        show_json({"arrival": arrival, "compared_with": former and former.id, "columns": columns})
        return DONE
    show_facts(arrival.dataset.path, arrival_facts(arrival, report))
    if columns:
        print()
        show_table(COLUMNS, column_rows(columns))
    elif not arrival.marker:
        tell("its columns are not shown: its content cannot be read any more, or is not a table")
    if columns and former:
        tell(f"drift (PSI: 0.1 is small, 0.25 large) against {former.dataset.path}, which was trained on before")
    elif columns:
        tell(
            "no drift is shown: this is the first data that was trained on, or the data before cannot be read any more"
        )
    return DONE


def _find(app: App, given: str) -> Arrival:
    """Return the arrival of this id, of its beginning or end, or of what is or was at this path."""
    arrivals = app.records.arrivals
    keys = {"/".join(key): key for key in arrivals.ids()}
    dataset = app.data.find(given)
    for pipeline in app.pipelines.taking(given):
        if dataset and (stored := arrivals.load(pipeline.name, arrival_id(dataset))):
            return stored.record
        if moved := arrivals.moved(pipeline.name, given):
            return arrivals.require(pipeline.name, moved.record.arrival).record
    if any(name.startswith(given) or name.endswith(given) for name in keys):
        return arrivals.require(*keys[find_id(keys, given, "data set")]).record

    def at_path(key: tuple[str, str]) -> Arrival | None:
        stored = arrivals.load(*key)
        return stored.record if stored and f"/{stored.record.dataset.path}".endswith(f"/{given}") else None

    if found := first(iter([*keys.values()][:_NEWEST]), at_path, 1):
        return found[0]
    raise Stopped(f"data {given} is not recorded; the command `data` lists what is", NOTHING)


def _read(app: App, arrival: Arrival, former: Profile | None = None) -> Report | None:
    """Return what a check of this very version finds, read where it is: dropped, or in quarantine."""
    from shared.flows.quarantine import folder_of

    pipeline = app.pipelines.get(arrival.pipeline)
    checks = replace(pipeline.checks if pipeline else Checks(), drift=Drift(at_most=math.inf) if former else None)
    path = arrival.dataset.path
    reads = [partial(app.data.read, arrival.dataset), partial(app.data.read_set_aside, path, folder_of(arrival))]
    for read in [] if arrival.marker else reads:
        with suppress(DataChanged):
            return check(path, read(), checks, former)
    return None


def _former(app: App, arrival: Arrival) -> tuple[Arrival | None, Profile | None]:
    """Return the newest data before this that was trained on, with its profile."""
    arrivals = app.records.arrivals
    earlier = [key for key in arrivals.ids(arrival.pipeline) if key[1] < arrival.id]
    for key in earlier[:_FORMER]:
        stored = arrivals.load(*key)
        if stored and stored.record.state is ArrivalState.TAKEN and not stored.record.marker:
            profile = arrivals.profile("/".join(key))
            if profile is None and (report := _read(app, stored.record)):
                profile = report.profile
            if profile:
                return stored.record, profile
    return None, None
