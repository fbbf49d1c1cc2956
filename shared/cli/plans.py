"""What a command would do: shown before a person agrees, and by `--dry-run`. Changes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.cli.output import Fact, show_facts, show_json, tell, utc
from shared.cli.place import FAILED, NOTHING, USAGE, Stopped, add_person
from shared.cli.views import change_text, data_facts, models, styled, verdict_facts
from shared.domain.arrivals import arrival_id
from shared.domain.champions import Champion, Phase
from shared.domain.jobs import JobState, Model, RetrainingJob, pipeline_of
from shared.domain.messages import Command, Request

if TYPE_CHECKING:
    from shared.app import App


@dataclass(frozen=True)
class Plan:
    facts: Sequence[Fact]
    shown: Mapping[str, Any]  #: the same for machines, beside the request's pipeline and action


def add_change(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that changes something."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--yes", action="store_true", help="do what is shown without being asked")
    how.add_argument("--dry-run", action="store_true", help="show what would be done, and change nothing")
    add_person(parser)


def agreed(chosen: argparse.Namespace, request: Request, plan: Plan, question: str) -> bool:
    """Show what would be done; return whether to do it."""
    if chosen.dry_run and chosen.json:
        show_json({"dry_run": True, "pipeline": request.pipeline, "action": request.action, **plan.shown})
    if not chosen.json:
        show_facts(request.pipeline, plan.facts)
    if chosen.dry_run:
        tell("dry run: nothing was changed")
        return False
    if chosen.yes or sure(chosen, question, "--yes to do it, or --dry-run to look only"):
        return True
    tell("nothing was changed")
    return False


def sure(chosen: argparse.Namespace, question: str, otherwise: str) -> bool:
    """Ask on the terminal; without a terminal, stop and say which options to give."""
    if chosen.json or not sys.stdin.isatty():
        raise Stopped(f"nobody can be asked here; give {otherwise}", USAGE)
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def promotion_of(app: App, request: Request, job: RetrainingJob) -> Plan:
    """Return what would become live. Raises `BadMessage` where the job's state forbids it."""
    from shared.flows.promotion.change import wanted

    wanted(job, request)
    champion = app.records.champions.load(job.pipeline)
    model = job.model.sha256 if job.model else ""
    facts: list[Fact] = [
        *_live(champion),
        ("would be live", f"model {model}, of job {job.id}"),
        ("the job is", styled(job.state)),
        *data_facts(job.parts),
        *verdict_facts(job.verdict),
        *_switch(app, champion),
    ]
    shown = {"job": job.id, "state": job.state, "model": model, "live": _number(champion), "verdict": job.verdict}
    return Plan(facts, shown)


def rollback_of(app: App, request: Request) -> Plan:
    """Return what would be live again; stop if the entry or model does not exist."""
    champion = app.records.champions.load(request.pipeline)
    if request.model:
        found = app.models.find(request.model)
        if len(found) != 1:
            what = "is not kept any more" if not found else f"could be any of {len(found)}; write more of its hash"
            raise Stopped(f"The model {request.model} {what}")
        facts = [*_live(champion), ("would be live", f"the kept model {found[0].sha256}"), *_switch(app, champion)]
        models_of = dict.fromkeys(_targets(app, champion), found[0])
        return Plan(facts, {"live": _number(champion), "to": None, "models": _hashes(models_of)})
    change = champion.change
    if change and change.phase in (Phase.STAGING, Phase.SHARING) and request.to is None:
        facts = [*_live(champion), ("would end", f"the {change_text(change)}; entry {_number(champion)} stays live")]
        return Plan(facts, {"live": _number(champion), "to": _number(champion), "ends": change.entry.number})
    number = request.to or (champion.live.previous if champion.live else None)
    entry = app.records.champions.entry(request.pipeline, number) if number else None
    if entry is None:
        what = f"entry {request.to} in its history" if request.to else "former model to go back to"
        raise Stopped(f"Pipeline {request.pipeline} has no {what}", FAILED)
    facts = [
        *_live(champion),
        ("would be live", f"entry {entry.number} of {utc(entry.at)} (UTC), model {models(entry.models)}"),
        ("that was", f"{entry.action.value}: {entry.reason}"),
        *data_facts(entry.parts),
        *_switch(app, champion),
    ]
    return Plan(facts, {"live": _number(champion), "to": entry.number, "models": _hashes(entry.models)})


def training_of(app: App, request: Request) -> Plan:
    """Return on which data, and with which parameters, would be trained once more."""
    given = ", ".join(f"{name} = {value}" for name, value in request.parameters.items())
    parameters = ("parameters", given or "as the pipelines file has them")
    if request.pipeline in app.pipelines.fleets:
        count = len(app.pipelines.members(request.pipeline))
        members = ("members", f"{count}, each on its own live data")
        return Plan([parameters, members], {"parameters": request.parameters, "members": count})
    job = app.flows.intake.job_again(request.pipeline, request.parameters, "plan")
    training = app.pipelines[request.pipeline].training
    data = [part.dataset.path for part in job.parts]
    facts: list[Fact] = [("would train", training.where), parameters, *data_facts(job.parts)]
    return Plan(facts, {"parameters": request.parameters, "data": data})


def cancellation_of(job: RetrainingJob) -> Plan:
    """Return which job would end. Raises `BadMessage` where its state forbids it."""
    from shared.flows.decisions import refuse_cancel

    if job.state is not JobState.CANCELLED:
        refuse_cancel(job)
    facts: list[Fact] = [
        ("would end", f"job {job.id} of {job.pipeline}"),
        ("the job is", styled(job.state)),
        ("training job", job.bes_job or ""),
        *data_facts(job.parts),
    ]
    return Plan(facts, {"job": job.id, "state": job.state})


def replay_of(app: App, request: Request) -> Plan:
    """Return which data would be taken up once more; stop if the records have none."""
    path = request.path or ""
    there, moved = app.data.find(path), app.records.arrivals.moved(request.pipeline, path)
    if there is None and moved is None:
        raise Stopped(f"the blob {path} does not exist in the container {app.data_container}", NOTHING)
    pipeline = app.pipelines[request.pipeline]
    if not pipeline.takes(path):
        raise Stopped(f"pipeline {request.pipeline} does not take {path}; it takes {pipeline.blobs}", FAILED)
    known = arrival_id(there) if there else moved.record.arrival if moved else ""
    stored = app.records.arrivals.load(request.pipeline, known)
    last = stored.record if stored else None
    facts = [
        ("would be taken up", path),
        ("dropped", f"{utc(there.modified)} (UTC), {there.size:,} bytes" if there else ""),
    ]
    if last:
        facts += [("state", last.state.value), ("reason", last.reason or ""), ("moved to", last.moved or "")]
    return Plan(facts, {"path": path, "state": last and last.state})


def rollout_of(app: App, fleet: str, action: Command) -> Plan:
    """Return which rollout would be stopped, or go on. Raises `BadMessage` if the fleet has none."""
    from shared.flows.rollout import to_resume, to_stop

    latest = app.records.rollouts.latest(fleet)
    rollout = (to_stop if action is Command.CANCEL else to_resume)(fleet, latest).record
    failed = ", ".join(member.pipeline for member in rollout.failures)
    forgiven = failed if action is Command.RESUME else ""
    facts = [("action", action.value), ("rollout", rollout.text), ("forgiven", forgiven)]
    return Plan(facts, {"rollout": rollout.number})


def members_of(app: App, fleet: str, action: Command) -> Plan:
    """Return how many of the fleet's members a new rollout is for, and in which waves."""
    plan = app.pipelines.fleets[fleet].plan
    if action is Command.PROMOTE:
        parked = app.records.jobs.parked(fleet)
        count, members = len({*map(pipeline_of, parked)}), f"{len(parked)} accepted jobs wait for a rollout"
    else:
        count = len(app.pipelines.members(fleet))
        members = f"{count} members; each that can goes to its former model"
    facts: list[Fact] = [("action", action.value), ("members", members)]
    if count:
        waves = ", then ".join(f"{reach}" for reach in plan.reaches(count))
        facts.append(("waves", f"up to {waves} members; stops after more than {plan.failures(count)} failures"))
    return Plan(facts, {"members": members})


def _live(champion: Champion) -> list[Fact]:
    if live := champion.live:
        return [("live now", f"entry {live.number} of {utc(live.at)} (UTC), model {models(live.models)}")]
    return [("live now", "nothing is recorded yet; what is live is kept first")]


def _switch(app: App, champion: Champion) -> list[Fact]:
    return [("on", ", ".join(_targets(app, champion))), ("in the history", f"entry {champion.last + 1}")]


def _targets(app: App, champion: Champion) -> list[str]:
    return [target.name for target in app.pipelines[champion.pipeline].targets]


def _number(champion: Champion) -> int | None:
    return champion.live.number if champion.live else None


def _hashes(models: dict[str, Model]) -> dict[str, str]:
    return {name: model.sha256 for name, model in models.items()}
