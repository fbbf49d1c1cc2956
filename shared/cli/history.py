"""`history`, `verify`: what was live, and why; and whether the history is as it was written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from shared.base.errors import RetrainingError
from shared.cli.names import entries_of, listed
from shared.cli.output import show_facts, show_json, show_table, tell, utc
from shared.cli.place import DONE, FAILED, NOTHING, USAGE, Commands, Stopped, open_app
from shared.cli.views import HISTORY, entry_facts, entry_rows
from shared.domain.champions import HistoryEntry
from shared.store.history_check import Verified, verify

if TYPE_CHECKING:
    from shared.app import App

Moment = tuple[datetime, datetime]  #: the begin and the end of the time that is asked about


def add(commands: Commands) -> None:
    history = commands.add("history", _history, "what was live, since when, and why")
    history.add_argument("pipeline", metavar="PIPELINE", help="its name")
    history.add_argument(
        "--on",
        type=read_moment,
        metavar="DATE",
        help="all that was live on this day, 2026-11-03, or at this time, 2026-11-03T14:00 (UTC unless it says so)",
    )

    verify = commands.add(
        "verify", _verify, "find any later edit of the history, or gap in it, and calls that go elsewhere"
    )
    verify.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="its name; without it all of them")
    verify.add_argument("--head", metavar="SHA256", help="an earlier verify showed this head: it must still be there")


def read_moment(text: str) -> Moment:
    """Return the day, or the one moment, that the text means; raise `ArgumentTypeError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write 2026-11-03 or 2026-11-03T14:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    length = timedelta(days=1) - timedelta.resolution if len(text) <= len("2026-11-03") else timedelta(0)
    return moment, moment + length


def live_during(
    entries: Sequence[tuple[HistoryEntry, str]], moment: Moment
) -> list[tuple[HistoryEntry, str, datetime | None]]:
    """Return the entries that were live at some time of it, each with when it ended; `entries` are oldest first."""
    begin, end = moment
    ends = [*(entry.at for entry, _ in entries[1:]), None]
    return [
        (entry, digest, until)
        for (entry, digest), until in zip(entries, ends, strict=True)
        if entry.at <= end and (until is None or until > begin)
    ]


def _history(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    records = app.records
    champion = records.champions.load(chosen.pipeline)
    # An entry that the champion's record does not name was never settled: its models were not, or not yet, live.
    entries = [each for each in records.champions.entries(chosen.pipeline) if each[0].number <= champion.last]
    if not entries:
        having = listed(records.champions.pipelines(), entries_of(app)[1]) or "none"
        raise Stopped(f"{chosen.pipeline!r} has no history; pipelines that have: {having}", NOTHING)
    if chosen.on is None:
        live = champion.live.number if champion.live else None
        if chosen.json:
            show_json([{**_shown(entry, digest), "live": entry.number == live} for entry, digest in entries])
        else:
            show_table(HISTORY, entry_rows([entry for entry, _ in entries], live), below="why")
        return DONE
    found = live_during(entries, chosen.on)
    if not found:
        first = utc(entries[0][0].at)
        raise Stopped(
            f"nothing was recorded as live on {chosen.pipeline} then; its history begins {first} UTC", NOTHING
        )
    if chosen.json:
        show_json([{**_shown(entry, digest), "until": until} for entry, digest, until in found])
    else:
        for entry, digest, until in found:
            show_facts(f"{chosen.pipeline}, entry {entry.number}", entry_facts(entry, digest, until))
    return DONE


def _shown(entry: HistoryEntry, digest: str) -> dict[str, Any]:
    return {**msgspec.to_builtins(entry), "sha256": digest}


def _verify(chosen: argparse.Namespace) -> int:
    if chosen.head and not chosen.pipeline:
        raise Stopped("--head belongs to one history; name its pipeline", USAGE)
    app = open_app(chosen)
    champions = app.records.champions
    names = [chosen.pipeline] if chosen.pipeline else champions.pipelines()
    found = [verify(champions.stored_history(name), champions.load(name), chosen.head) for name in names]
    if not any(each.entries or each.faults for each in found):
        raise Stopped("the history has no entry yet", NOTHING)
    for each in found:
        _compare_traffic(app, each)
    if chosen.json:
        show_json([{**vars(each), "whole": each.whole} for each in found])
    else:
        chain = {True: ("whole", "green"), False: ("BROKEN", "bold red")}
        rows = [(each.pipeline, str(each.entries), chain[each.whole], each.head or "") for each in found]
        show_table(("pipeline", "entries", "chain", "head"), rows, below="head")
        for each in found:
            for line in (*each.faults, *each.notes, *each.traffic):
                tell(f"{each.pipeline}: {line}")
    return DONE if all(each.whole and not each.traffic for each in found) else FAILED


def _compare_traffic(app: App, found: Verified) -> None:
    """Note where the calls do not go as the history says. Only an endpoint with several deployments has shares."""
    from shared.flows.promotion.repair import taken_calls

    name, champion = found.pipeline, app.records.champions.load(found.pipeline)
    try:
        if champion.live is None or champion.change or champion.repair or name not in app.pipelines:
            return
        taken = taken_calls(champion.live, app.endpoints_of(app.pipelines[name], only_look=True))
    except RetrainingError as error:
        found.notes.append(f"the traffic cannot be compared with the history: {error}")
        return
    number = champion.live.number
    found.traffic += [
        f"{each}; the history says that entry {number} gets all calls, and `rollback {name} --to {number}` gives them "
        "back to it"
        for each in taken.values()
    ]
