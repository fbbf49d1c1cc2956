"""`rollout`: how far a fleet's newest rollout is, with a line for each member."""

from __future__ import annotations

import argparse
from typing import Any

from shared.cli.output import say, show_json, show_table
from shared.cli.place import DONE, FAILED, NOTHING, Stopped, add_common, open_app


def add(commands: Any) -> None:
    rollout = commands.add_parser("rollout", help="a fleet's newest rollout, with a line for each endpoint")
    rollout.add_argument("fleet", help="the entry with for_each")
    rollout.add_argument("--number", type=int, metavar="N", help="this rollout, not the newest")
    rollout.add_argument("--standing", metavar="STANDING", help="only the members that stand so: failed")
    add_common(rollout)
    rollout.set_defaults(run=_rollout)


def _rollout(chosen: argparse.Namespace) -> int:
    from shared.rollouts import Course

    app = open_app(chosen)
    rollouts = (stored.rollout for stored in app.rolling_out.rollouts.all(chosen.fleet))
    rollout = next((each for each in rollouts if chosen.number in (None, each.number)), None)
    if rollout is None:
        fleets = ", ".join(sorted(app.pipelines.fleets)) or "none"
        raise Stopped(f"{chosen.fleet!r} has no such rollout; the fleets are: {fleets}", NOTHING)
    if chosen.json:
        show_json(rollout)
    else:
        rows = [row for row in rollout.table if chosen.standing in (None, row[1])]
        show_table(["member", "standing", "of", "why"], rows, cut="why")
        say(rollout.text)
    return FAILED if rollout.course is Course.STOPPED else DONE
