"""`rollout` shows how far a fleet's rollout is, with a line for each member; `resume` continues it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec

from shared.cli.decisions import ask_fleet
from shared.cli.names import listed
from shared.cli.output import say, show_json, show_table, tell
from shared.cli.pages import one_of
from shared.cli.place import DONE, FAILED, NOTHING, Commands, Stopped, open_app
from shared.cli.plans import add_change, rollout_of
from shared.cli.views import MEMBERS, member_rows
from shared.domain.messages import Command
from shared.domain.rollouts import MemberState, RolloutState

if TYPE_CHECKING:
    from shared.app import App


def add(commands: Commands) -> None:
    rollout = commands.add("rollout", _rollout, "a fleet's newest rollout, with a line for each endpoint")
    rollout.add_argument("fleet", metavar="FLEET", help="the entry with for_each")
    rollout.add_argument("--number", type=int, metavar="N", help="this rollout, not the newest")
    rollout.add_argument("--standing", metavar="STANDING", help="only the members in this state: failed")

    resume = commands.add("resume", _resume, "go on with a fleet's rollout that was stopped; forgives what failed")
    resume.add_argument("fleet", metavar="FLEET", help="the entry with for_each")
    add_change(resume)


def _rollout(chosen: argparse.Namespace) -> int:
    one_of(chosen.standing, MemberState, "a standing")
    app = open_app(chosen)
    _known_fleet(app, chosen.fleet)
    rollouts = (stored.record for stored in app.records.rollouts.all(chosen.fleet))
    rollout = next((each for each in rollouts if chosen.number in (None, each.number)), None)
    if rollout is None:
        what = "no rollout yet" if chosen.number is None else f"no rollout {chosen.number}"
        raise Stopped(f"{chosen.fleet} has {what}; one begins by: python -m shared promote {chosen.fleet}", NOTHING)
    shown = tuple(each for each in rollout.members if chosen.standing in (None, each.state.value))
    if chosen.json:
        show_json(msgspec.structs.replace(rollout, members=shown))
    else:
        if shown:
            show_table(MEMBERS, member_rows(shown), below="why")
        else:
            tell(f"no member of rollout {rollout.number} of {chosen.fleet} is {chosen.standing}")
        say(rollout.text)
    return FAILED if rollout.state is RolloutState.STOPPED else DONE


def _resume(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    fleet = _known_fleet(app, chosen.fleet)
    plan = rollout_of(app, fleet, Command.RESUME)
    return ask_fleet(app, chosen, fleet, Command.RESUME, plan, "go on with this rollout?")


def _known_fleet(app: App, name: str) -> str:
    fleets = app.pipelines.fleets
    if name not in fleets:
        members = [member for fleet in fleets for member in app.pipelines.members(fleet)]
        raise Stopped(
            f"{name!r} is not a fleet; the fleets are: {listed(members, fleets) or ', '.join(fleets) or 'none'}",
            NOTHING,
        )
    return name
