"""Describes what a command would do, for its confirmation and for `--dry-run`. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.cli.output import Fact, utc
from shared.cli.place import FAILED, NOTHING, Stopped
from shared.domain.messages import Command

if TYPE_CHECKING:
    from shared.app import App
    from shared.domain.champions import Champion
    from shared.domain.jobs import Model, RetrainingJob
    from shared.domain.messages import Request


@dataclass(frozen=True)
class Plan:
    facts: Sequence[Fact]
    shown: dict[str, Any]  #: the same for machines


def promotion_of(app: App, request: Request, job: RetrainingJob) -> Plan:
    """Return what would become live. Raises `BadMessage` where the job's state forbids it."""
    from shared.cli.views import data_facts, state, verdict_facts
    from shared.flows.promotion.change import wanted

    wanted(job, request)
    champion = app.records.champions.load(job.pipeline)
    model = job.model.sha256 if job.model else ""
    facts: list[Fact] = [
        *_live(champion),
        ("would be live", f"model {model}, of job {job.id}"),
        ("the job is", state(job)),
        *data_facts(job.parts),
        *verdict_facts(job.verdict),
        *_switch(app, champion),
    ]
    shown = {"pipeline": job.pipeline, "action": request.action, "job": job.id, "state": job.state, "model": model}
    return Plan(facts, {**shown, "live": _number(champion), "verdict": job.verdict})


def rollback_of(app: App, request: Request) -> Plan:
    """Return what would be live again; stop where there is no such entry or model."""
    from shared.cli.views import data_facts, models

    champion = app.records.champions.load(request.pipeline)
    shown: dict[str, Any] = {"pipeline": request.pipeline, "action": request.action, "live": _number(champion)}
    if request.model:
        found = app.models.find(request.model)
        if len(found) != 1:
            what = "is not kept any more" if not found else f"could be any of {len(found)}; write more of its hash"
            raise Stopped(f"The model {request.model} {what}")
        facts = [*_live(champion), ("would be live", f"the kept model {found[0].sha256}"), *_switch(app, champion)]
        return Plan(facts, {**shown, "to": None, "models": _hashes(dict.fromkeys(_targets(app, champion), found[0]))})
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
    return Plan(facts, {**shown, "to": entry.number, "models": _hashes(entry.models)})


def training_of(app: App, request: Request) -> Plan:
    """Return on which data, and with which parameters, would be trained once more."""
    from shared.cli.views import data_facts

    shown: dict[str, Any] = {"pipeline": request.pipeline, "action": request.action, "parameters": request.parameters}
    members = app.pipelines.members(request.pipeline)
    parameters = ", ".join(f"{name} = {value}" for name, value in request.parameters.items())
    facts: list[Fact] = [("parameters", parameters or "those of the pipelines file")]
    if request.pipeline in app.pipelines.fleets:
        facts.append(("members", f"{len(members)}, each on its own live data"))
        return Plan(facts, {**shown, "members": len(members)})
    job = app.flows.intake.job_again(request.pipeline, request.parameters, "plan")
    training = app.pipelines[request.pipeline].training
    facts = [("would train", training.address), *facts, *data_facts(job.parts)]
    return Plan(facts, {**shown, "data": [part.dataset.path for part in job.parts]})


def cancellation_of(request: Request, job: RetrainingJob) -> Plan:
    """Return which job would end. Raises `BadMessage` where its state forbids it."""
    from shared.cli.views import data_facts, state
    from shared.domain.jobs import JobState
    from shared.flows.decisions import refuse_cancel

    if job.state is not JobState.CANCELLED:
        refuse_cancel(job)
    facts: list[Fact] = [
        ("would end", f"job {job.id} of {job.pipeline}"),
        ("the job is", state(job)),
        *([("BES job", job.bes_job)] if job.bes_job else []),
        *data_facts(job.parts),
    ]
    shown = {"pipeline": job.pipeline, "action": request.action, "job": job.id, "state": job.state}
    return Plan(facts, shown)


def replay_of(app: App, request: Request) -> Plan:
    """Return which data would be taken up once more; stop where there is none."""
    from shared.domain.arrivals import arrival_id

    path = request.path or ""
    there, moved = app.data.find(path), app.records.arrivals.moved(request.pipeline, path)
    if there is None and moved is None:
        raise Stopped(f"there is no blob {path} in the container {app.data_container}", NOTHING)
    pipeline = app.pipelines[request.pipeline]
    if not pipeline.takes(path):
        raise Stopped(f"pipeline {request.pipeline} does not take {path}; it takes {pipeline.blobs}", FAILED)
    known = arrival_id(there) if there else moved.record.arrival if moved else ""
    stored = app.records.arrivals.load(request.pipeline, known)
    last = stored.record if stored else None
    facts: list[Fact] = [("would be taken up", path)]
    if there:
        facts.append(("dropped", f"{utc(there.modified)} (UTC), {there.size:,} bytes"))
    if last:
        facts += [("state", last.state.value), ("reason", last.reason or ""), ("moved to", last.moved or "")]
    shown = {"pipeline": request.pipeline, "action": request.action, "path": path, "state": last and last.state}
    return Plan([fact for fact in facts if fact[1]], shown)


def rollout_of(app: App, fleet: str, action: Command) -> Plan:
    """Return which rollout would be stopped, or go on. Raises `BadMessage` where there is none."""
    from shared.flows.rollout import to_resume, to_stop

    latest = app.records.rollouts.latest(fleet)
    rollout = (to_stop if action is Command.CANCEL else to_resume)(fleet, latest).record
    failed = [member.pipeline for member in rollout.failures]
    facts: list[Fact] = [("action", action.value), ("rollout", rollout.text)]
    if failed and action is Command.RESUME:
        facts.append(("forgiven", ", ".join(failed)))
    return Plan(facts, {"pipeline": fleet, "action": action, "rollout": rollout.number})


def members_of(app: App, fleet: str, action: Command) -> Plan:
    """Return how many of the fleet's members a new rollout is for, and in which waves."""
    from shared.domain.jobs import pipeline_of

    plan = app.pipelines.fleets[fleet].plan
    if action is Command.PROMOTE:
        parked = app.records.jobs.parked(fleet)
        count, members = len({*map(pipeline_of, parked)}), f"{len(parked)} accepted jobs wait for a rollout"
    else:
        count = len(app.pipelines.members(fleet))
        members = f"{count} members; each that can goes to its former model"
    shown = {"pipeline": fleet, "action": action, "members": members}
    facts: list[Fact] = [("action", action.value), ("members", members)]
    if count:
        waves = ", then ".join(f"{reach}" for reach in plan.reaches(count))
        failures = int(plan.failures_at_most.of(count))
        facts.append(("waves", f"up to {waves} members; stops after more than {failures} failures"))
    return Plan(facts, shown)


def _live(champion: Champion) -> list[Fact]:
    from shared.cli.views import models

    live = champion.live
    if live is None:
        return [("live now", "nothing is recorded yet; what is live is kept first")]
    return [("live now", f"entry {live.number} of {utc(live.at)} (UTC), model {models(live.models)}")]


def _switch(app: App, champion: Champion) -> list[Fact]:
    return [("on", ", ".join(_targets(app, champion))), ("in the history", f"entry {champion.last + 1}")]


def _targets(app: App, champion: Champion) -> list[str]:
    return [target.name for target in app.pipelines[champion.pipeline].targets]


def _number(champion: Champion) -> int | None:
    return champion.live.number if champion.live else None


def _hashes(models: dict[str, Model]) -> dict[str, str]:
    return {name: model.sha256 for name, model in models.items()}
