"""What `promote`, `rollback` and `retrain` would do, as people and machines read it. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.cli.output import Fact, told
from shared.cli.place import FAILED, Stopped

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
        ("would be live", f"entry {entry.number} of {told(entry.at)} (UTC), model {models(entry.models)}"),
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


def _live(champion: Champion) -> list[Fact]:
    from shared.cli.views import models

    live = champion.live
    if live is None:
        return [("live now", "nothing is recorded yet; what is live is kept first")]
    return [("live now", f"entry {live.number} of {told(live.at)} (UTC), model {models(live.models)}")]


def _switch(app: App, champion: Champion) -> list[Fact]:
    return [("on", ", ".join(_targets(app, champion))), ("in the history", f"entry {champion.last + 1}")]


def _targets(app: App, champion: Champion) -> list[str]:
    return [target.name for target in app.pipelines[champion.pipeline].targets]


def _number(champion: Champion) -> int | None:
    return champion.live.number if champion.live else None


def _hashes(models: dict[str, Model]) -> dict[str, str]:
    return {name: model.sha256 for name, model in models.items()}
