"""`requests`: what became of the messages and commands of people."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from shared.cli.names import add_page, after, fleet_of, page
from shared.cli.output import show_json, show_table, tell
from shared.cli.place import DONE, NOTHING, add_common, open_app

Note = tuple[str, datetime, dict[str, str]]  #: a request's id, when it was written down last, and what was


def add(commands: Any) -> None:
    requests = commands.add_parser("requests", help="what became of messages and commands of people, the newest first")
    requests.add_argument("pipeline", nargs="?", metavar="PIPELINE|FLEET", help="only of this one")
    add_page(requests, "request")
    add_common(requests)
    requests.set_defaults(run=_requests)


def _requests(chosen: argparse.Namespace) -> int:
    records = open_app(chosen).records
    times = dict(records.requests.all())
    ids = after(list(times), chosen.before, "request")

    def load(request_id: str) -> Note | None:
        note = records.requests.load(request_id)
        pipeline = note.get("pipeline", "")
        wanted = chosen.pipeline in (None, pipeline) or fleet_of(pipeline, [chosen.pipeline])
        return (request_id, times[request_id], note) if wanted else None

    found = page(ids, load, chosen.limit)
    more = next(ids, None) is not None
    if chosen.json:
        shown = [{"request": each, "at": at, **note} for each, at, note in found]
        show_json({"requests": shown, "more": more})
    elif found:
        from shared.cli.views import REQUESTS, request_rows

        show_table(REQUESTS, request_rows(found), below="outcome")
        if more:
            tell(f"there are more; go on with --before {found[-1][0]}")
    else:
        tell("there is no such request")
    return DONE if found else NOTHING
