"""`approve`, `reject`, `cancel`: what a person decides about a job; `cancel` also of a fleet's rollout."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared.cli.jobs import add_job, find_job
from shared.cli.names import add_job_or_fleet
from shared.cli.output import say, show_facts, show_json, tell
from shared.cli.place import DONE, FAILED, USAGE, Commands, Stopped, add_person, open_app, person
from shared.cli.plans import Plan, add_change, agreed, cancellation_of, rollout_of, sure
from shared.cli.views import approval_facts, data_facts, verdict_facts
from shared.domain.messages import Command, Request

if TYPE_CHECKING:
    from shared.app import App


def add(commands: Commands) -> None:
    for action in (Command.APPROVE, Command.REJECT):
        parser = commands.add(
            action.value,
            _answer,
            f"{action.value} the model of a job that awaits approval",
            description="Shows model and verdict and asks. The decision holds for what was shown: it is void once "
            "either changes.",
        )
        add_job(parser)
        add_person(parser, "--comment")
        sure = parser.add_mutually_exclusive_group()
        sure.add_argument("--seen", metavar="DIGEST", help="the `seen` of what you decide on, as `job` shows it")
        sure.add_argument("--yes", action="store_true", help="decide on what is shown without being asked")
        parser.set_defaults(action=action)

    cancel = commands.add("cancel", _cancel, "end a retraining that is not promoted yet, or stop a fleet's rollout")
    add_job_or_fleet(cancel)
    add_change(cancel)


def _answer(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    if chosen.job in app.pipelines.fleets:
        raise Stopped(
            f"{chosen.job} is a fleet, and {chosen.action.value} takes one job; list them: "
            f"jobs {chosen.job} --state 'awaiting approval'",
            USAGE,
        )
    job = find_job(app.records, chosen.job)
    if job.approval is None or job.approval.approved is not None:
        raise Stopped(f"job {job.id} is {job.state.value} and does not await an approval", FAILED)
    if not chosen.json:
        facts = [*data_facts(job.parts), *verdict_facts(job.verdict), *approval_facts(job.approval)]
        show_facts(job.id, [("model", job.model.sha256 if job.model else ""), *facts])
    otherwise = f"--seen DIGEST, or --yes to {chosen.action.value} it"
    decided = chosen.seen or chosen.yes or sure(chosen, f"{chosen.action.value} this model?", otherwise)
    seen = chosen.seen or job.approval.seen
    if not decided:
        raise Stopped(f"nothing was decided about job {job.id}", FAILED)
    return carry_out(app, chosen, requested(chosen, job.pipeline, chosen.action, job=job.id, seen=seen))


def _cancel(chosen: argparse.Namespace) -> int:
    app = open_app(chosen)
    if chosen.job in app.pipelines.fleets:
        plan = rollout_of(app, chosen.job, Command.CANCEL)
        return ask_fleet(app, chosen, chosen.job, Command.CANCEL, plan, "stop this rollout?")
    job = find_job(app.records, chosen.job)
    request = requested(chosen, job.pipeline, Command.CANCEL, job=job.id)
    return ask(app, chosen, request, cancellation_of(job), "cancel this job?")


def requested(chosen: argparse.Namespace, pipeline: str, action: Command, **facts: Any) -> Request:
    return Request(pipeline=pipeline, action=action, by=person(chosen), reason=chosen.reason, **facts)


def ask(app: App, chosen: argparse.Namespace, request: Request, plan: Plan, question: str) -> int:
    """Show the plan, and do what the message of the same name does if the person agrees."""
    if not agreed(chosen, request, plan, question):
        return DONE if chosen.dry_run else FAILED
    return carry_out(app, chosen, request)


def carry_out(app: App, chosen: argparse.Namespace, request: Request) -> int:
    """Do what the message of the same name does, and say what became of it; the app's timers do the rest."""
    request_id = f"command-{uuid4().hex}"
    outcome = app.flows.requests.carry_out(request, request_id)
    if chosen.json:
        show_json({"request": request_id, "pipeline": request.pipeline, "outcome": outcome})
    else:
        say(f"{request.pipeline}: {outcome}")
    return DONE


def ask_fleet(
    app: App, chosen: argparse.Namespace, fleet: str, action: Command, plan: Plan, question: str, **facts: Any
) -> int:
    """Have the whole fleet rolled out, back, stopped or gone on with if the person agrees; the app's timers do it."""
    done = ask(app, chosen, requested(chosen, fleet, action, **facts), plan, question)
    if done == DONE and not chosen.json and not chosen.dry_run:
        tell(f"the app's timer does it; see how far it is: python -m shared rollout {fleet}")
    return done
