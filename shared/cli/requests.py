"""`requests`: what became of the messages and commands of people."""

import argparse
from datetime import datetime

from shared.cli.names import fleet_of
from shared.cli.pages import add_page, show_page
from shared.cli.place import Commands, open_app
from shared.cli.views import REQUESTS, request_rows

Note = tuple[str, datetime, dict[str, str]]  #: a request's id, when it was written down last, and what was


def add(commands: Commands) -> None:
    requests = commands.add("requests", _requests, "what became of messages and commands of people, the newest first")
    requests.add_argument("pipeline", nargs="?", metavar="PIPELINE|FLEET", help="only of this one")
    add_page(requests, "request")


def _requests(chosen: argparse.Namespace) -> int:
    records = open_app(chosen).records
    times = dict(records.requests.all())

    def load(request_id: str) -> Note | None:
        note = records.requests.load(request_id)
        pipeline = note.get("pipeline", "")
        wanted = chosen.pipeline in (None, pipeline) or fleet_of(pipeline, [chosen.pipeline])
        return (request_id, times[request_id], note) if wanted else None

    def plain(note: Note) -> dict[str, object]:
        return {"request": note[0], "at": note[1], **note[2]}

    return show_page(chosen, "request", list(times), load, REQUESTS, request_rows, plain)
