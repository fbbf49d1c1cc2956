"""`promote`, `rollback`, `retrain`, `replay`: the command itself does what a message on the queue asks for.

For the entry of a fleet it begins a rollout, which the app's timer carries out. A change of models goes through the
same lease, fence and proof as the app's own. A command that is stopped halfway leaves a change in the records, which
the app's timer finishes.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared.base.errors import AskHuman, NeverAgain, RetrainingError, TryLater
from shared.base.retry import delay
from shared.cli.decisions import ask, ask_fleet, requested
from shared.cli.jobs import find_job
from shared.cli.names import add_job_or_fleet, add_pipeline_or_fleet, known, known_alone
from shared.cli.output import say, show_facts, show_json, spinner, tell
from shared.cli.pages import count
from shared.cli.place import DONE, FAILED, WAITING, Commands, Stopped, open_app
from shared.cli.plans import Plan, add_change, agreed, members_of, promotion_of, replay_of, rollback_of, training_of
from shared.cli.views import change_text, entry_facts
from shared.domain.messages import Command, Request

if TYPE_CHECKING:
    from shared.app import App

TRIES = 5  #: as the host gives a message


def add(commands: Commands) -> None:
    promote = commands.add("promote", _promote, "make a job's model live, with proof; also one that was refused")
    add_job_or_fleet(promote)
    _add_switch(promote)

    rollback = commands.add("rollback", _rollback, "make a former model live again, with proof")
    add_pipeline_or_fleet(rollback)
    where = rollback.add_mutually_exclusive_group()
    where.add_argument("--to", type=int, metavar="N", help="to this entry of the history; else the one before")
    where.add_argument("--model", metavar="SHA256", help="to this kept model; 8 digits or more of its hash")
    _add_switch(rollback)

    retrain = commands.add("retrain", _retrain, "train once more on the data that is live")
    add_pipeline_or_fleet(retrain)
    retrain.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=_parameter,
        help="a global parameter of this training; may be repeated",
    )
    add_change(retrain)

    replay = commands.add("replay", _replay, "take up once more what was set aside or left out")
    replay.add_argument("pipeline", metavar="PIPELINE", help="its name")
    replay.add_argument("path", metavar="PATH", help="the blob's path within its container: income/2026-11.csv")
    add_change(replay)


def _add_switch(parser: argparse.ArgumentParser) -> None:
    add_change(parser)
    parser.add_argument("--tries", type=count, default=TRIES, metavar="N", help=f"how often to try; {TRIES}")


def _parameter(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not a global parameter; write NAME=VALUE")
    return name, value


def _promote(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    if chosen.job in app.pipelines.fleets:
        return _of_fleet(app, chosen, chosen.job, Command.PROMOTE)
    job = find_job(app.records, chosen.job)
    request = requested(chosen, job.pipeline, Command.PROMOTE, job=job.id)
    return _change(app, chosen, request, promotion_of(app, request, job))


def _rollback(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    pipeline = known(app, chosen.pipeline)
    if pipeline in app.pipelines.fleets:
        return _of_fleet(app, chosen, pipeline, Command.ROLLBACK, to=chosen.to, model=chosen.model)
    live = app.records.champions.load(pipeline).live
    # With the live entry named, a second try, or a second person, does not go one further back.
    asked = {"to": chosen.to, "model": chosen.model, "live": live.number if live else None}
    request = requested(chosen, pipeline, Command.ROLLBACK, **asked)
    return _change(app, chosen, request, rollback_of(app, request))


def _of_fleet(app: App, chosen: argparse.Namespace, fleet: str, action: Command, **facts: Any) -> int:
    plan = members_of(app, fleet, action)
    return ask_fleet(app, chosen, fleet, action, plan, f"{action.value} {fleet}?", **facts)


def _retrain(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    request = requested(chosen, known(app, chosen.pipeline), Command.RETRAIN, parameters=dict(chosen.parameter))
    return ask(app, chosen, request, training_of(app, request), f"train {request.pipeline} once more?")


def _replay(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    request = requested(chosen, known_alone(app, chosen.pipeline), Command.REPLAY, path=chosen.path)
    return ask(app, chosen, request, replay_of(app, request), "take this data up once more?")


def _change(app: App, chosen: argparse.Namespace, request: Request, plan: Plan) -> int:
    """Carry the request out, trying again as the host would, and show what became of it."""
    if not agreed(chosen, request, plan, "make this model live?"):
        return DONE if chosen.dry_run else FAILED
    request_id = f"command-{uuid4().hex}"
    before = app.records.champions.load(request.pipeline).last
    with spinner(
        f"{request.pipeline}: the endpoints are switched, and the switch is proven", quiet=chosen.json or chosen.verbose
    ):
        _carry_out(app, request, request_id, chosen.tries)
    state, outcome = _outcome(app, request, request_id)
    champion = app.records.champions.load(request.pipeline)
    entry = champion.live if champion.last > before else None
    if chosen.json:
        show_json({"request": request_id, "pipeline": request.pipeline, "outcome": outcome, "entry": entry})
    else:
        say(f"{request.pipeline}: {outcome}")
        if entry and champion.head:
            show_facts(f"{request.pipeline}, entry {entry.number}", entry_facts(entry, champion.head, None))
    return state


def _carry_out(app: App, request: Request, request_id: str, tries: int) -> None:
    for attempt in range(1, tries + 1):
        try:
            app.flows.requests.carry_out(request, request_id)
            return
        except TryLater as error:
            if attempt == tries:
                raise Stopped(_left(app, request, request_id, error), WAITING) from None
            pause = delay(attempt, error).total_seconds()
            tell(f"not yet: {error}; tried again in {pause:.0f} s")
            time.sleep(pause)  # nobody but the person at the terminal waits for it
        except NeverAgain as error:
            app.flows.requests.refuse(request_id, str(error), request)
            raise
        except AskHuman as error:
            raise Stopped(_left(app, request, request_id, error), FAILED) from None
        except KeyboardInterrupt:
            tell("stopped; a change that was begun is finished by the app's timer: python -m shared status")
            raise


def _left(app: App, request: Request, request_id: str, error: RetrainingError) -> str:
    """Return what is left undone, and who does it."""
    champion = app.records.champions.load(request.pipeline)
    under_way = {each.request_id for each in (champion.change, champion.repair) if each}
    if under_way & {request_id, request.job} - {None}:
        return f"{error}; the change is begun, and the app's timer finishes it: python -m shared status"
    app.flows.requests.give_up(request, request_id)
    return f"{error}; no endpoint was touched for this, so ask again"


def _outcome(app: App, request: Request, request_id: str) -> tuple[int, str]:
    """Return the exit code and what the records say became of the request."""
    if outcome := app.records.requests.outcome(request_id):
        under_way = WAITING if outcome.startswith("under way") else FAILED
        return DONE if outcome.startswith("done") else under_way, outcome
    assert request.job is not None, "a rollback's outcome is under its request"
    job = app.records.jobs.require(request.job).record
    if change := app.records.champions.load(request.pipeline).change:
        return WAITING, f"under way: {change_text(change)}; the app's timer goes on with it: python -m shared status"
    done = job.state.value == "promoted"
    return DONE if done else FAILED, f"job {job.id} is {job.state.value}: {job.reason or job.steps[-1].note}"
