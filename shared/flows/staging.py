"""The flow from an accepted job to a candidate that is proven beside the live model: nobody is served by it yet.

The poll takes it: nothing is held, and the shares of the calls stay as they are. At most one model is deployed beside
the live one, so a candidate waits until a change, or the bake after it, is over. Where an update replaces the live
model, an accepted job is promoted without this.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.base.threads import at_once
from shared.domain.champions import Champion, Change
from shared.domain.deployments import Deployment, Deployments, is_staged, pause
from shared.domain.jobs import WELL, JobState, Model, RetrainingJob, Stage
from shared.domain.pipelines import Pipeline
from shared.domain.ports import Endpoints, Pending, Ready, Refused, Staging
from shared.domain.proof_rows import ALIKE, first, last, same_answers
from shared.domain.rows import Rows
from shared.flows.promotion.rows import rows_to_prove
from shared.store import Records

log = logging.getLogger("relearn.staging")

LOOK_AGAIN = 2.0  #: seconds until the next look at a candidate whose turn has not come, at first


@dataclass(frozen=True)
class CandidateStaging:
    records: Records
    endpoints: Callable[[Pipeline], Endpoints]
    now: Callable[[], datetime]

    def step(self, job: RetrainingJob, pipeline: Pipeline) -> RetrainingJob:
        """Take an accepted job one step towards the request for its promotion."""
        given_up = self._unless_given_up(job, pipeline)
        endpoints = self.endpoints(pipeline)
        if given_up is not job or not is_staged(endpoints):
            return given_up
        if pipeline.fleet and pipeline.waits and not job.rollout:
            if job.state is JobState.ACCEPTED:
                return job
            return job.move_to(JobState.ACCEPTED, self.now(), "its rollout has taken it back", stage=None)
        if job.state is JobState.ACCEPTED:
            return job.move_to(JobState.STAGING, self.now(), "the model is made ready beside the live one")
        if job.stage and job.stage.proven_at:
            return job
        return self._staged(job, pipeline, endpoints, job.stage) if job.stage else self._begun(job, pipeline)

    def _begun(self, job: RetrainingJob, pipeline: Pipeline) -> RetrainingJob:
        """Record that the candidate may be deployed from now on, once it is its turn."""
        champion, stored = self.records.champions.load(pipeline.name), self.records.deployments.load(pipeline.name)
        if champion.has_overtaken(job):
            return job.end(JobState.SUPERSEDED, self.now(), "A newer model was promoted first")
        model = _model(job)
        if champion.live and {*champion.live.models.values()} == {model}:
            now = self.now()
            return job.noting(now, "this very model is live already", **WELL, stage=Stage(begun=now, proven_at=now))
        why = self._why_it_waits(job, model, champion, stored.record)
        if why:
            patience, begun = timedelta(seconds=pipeline.training.patience), _staging_since(job)
            if self.now() - begun > patience:
                return job.end(JobState.TIMED_OUT, self.now(), f"Its turn has not come within {patience}: {why}")
            if job.steps[-1].note != why:
                job = job.noting(self.now(), why)
            look_at = self.now() + pause(job.steps[-1].at, self.now(), LOOK_AGAIN)
            return msgspec.structs.replace(job, **{**WELL, "not_before": look_at})
        now, there = self.now(), stored.record.of(model)
        deployment = there or Deployment(model=model, since=now)
        self.records.deployments.save(stored, stored.record.having(deployment, job=job.id, gone=None))
        return job.noting(now, "its deployment is asked for", **WELL, stage=Stage(begun=now))

    def _why_it_waits(
        self, job: RetrainingJob, model: Model, champion: Champion, deployments: Deployments
    ) -> str | None:
        """Return what has to end before this candidate is deployed, having asked for that end where it may."""
        if champion.change and champion.change.request_id != job.id:
            return _waits_for(champion.change)
        for other in deployments.beside(model):
            stored = self.records.jobs.load(other.job) if other.job else None
            if stored and not stored.record.final:
                if stored.record.order >= job.order or stored.record.state is not JobState.STAGING:
                    return f"waits for job {stored.record.id}"
                reason = f"newer data was accepted meanwhile: job {job.id}"
                self.records.jobs.save(stored, stored.record.end(JobState.SUPERSEDED, self.now(), reason))
            elif other.until and self.records.watches.load(job.pipeline):
                return f"waits for the end of the bake of entry {champion.last}"
            elif other.until and other.until > self.now():
                current = self.records.deployments.load(job.pipeline)
                self.records.deployments.save(current, current.record.having(other, until=self.now()))
            return f"waits until the deployment of model {other.model.sha256[:12]} is dropped"
        return None

    def _staged(self, job: RetrainingJob, pipeline: Pipeline, endpoints: Endpoints, stage: Stage) -> RetrainingJob:
        """Return the job after one more look at the deployments: they are not ready yet, or they are proven, or not."""
        model, patience = _model(job), timedelta(seconds=pipeline.training.patience)
        champion = self.records.champions.load(pipeline.name)
        if champion.has_overtaken(job):
            return job.end(JobState.SUPERSEDED, self.now(), "A newer model was promoted first")
        if champion.change and champion.change.request_id != job.id:
            return job.noting(self.now(), _waits_for(champion.change), **WELL, stage=None)
        if self.now() - stage.begun > patience:
            return job.end(JobState.TIMED_OUT, self.now(), f"Its deployment was not ready within {patience}")
        models = dict.fromkeys(endpoints, model)
        outcome = stage_on(endpoints, models)
        if isinstance(outcome, Refused):
            return job.end(JobState.FAILED, self.now(), f"{outcome.reason}; nobody was served by the model")
        if isinstance(outcome, Pending):
            well = {**WELL, "not_before": self.now() + pause(stage.begun, self.now(), outcome.after)}
            return msgspec.structs.replace(job, **well)
        live = champion.live.models.get(pipeline.targets[0].name) if champion.live else None
        rows, expected = rows_to_prove(self.records, pipeline, job, live)
        answers = staged_answers(endpoints, models, rows)
        now_live = {} if expected else {name: endpoint.score(rows) for name, endpoint in endpoints.items()}
        if doubt := doubt_of_staged(answers, expected, now_live):
            return job.end(JobState.FAILED, self.now(), f"{doubt}; nobody was served by it")
        kept = {name: first(each, len(pipeline.rows.values)) for name, each in answers.items()}
        how = "answers as it did in training" if expected else "answers the kept rows"
        proven = msgspec.structs.replace(stage, proven_at=self.now(), answers=kept)
        return job.noting(self.now(), f"ready beside the live model, where it {how}", **WELL, stage=proven)

    def _unless_given_up(self, job: RetrainingJob, pipeline: Pipeline) -> RetrainingJob:
        """End the job whose promotion has met trouble for too long: it holds a place of its pipeline."""
        patience = timedelta(seconds=pipeline.training.patience)
        if job.troubled_since is None or self.now() - job.troubled_since <= patience:
            return job
        return job.end(JobState.TIMED_OUT, self.now(), f"Its promotion is given up after {patience}: {job.trouble}")


def _staging_since(job: RetrainingJob) -> datetime:
    """Return since when the job is to be made ready."""
    since = job.steps[-1].at
    for step in reversed(job.steps):
        if step.state is not JobState.STAGING:
            break
        since = step.at
    return since


def staging_of(endpoints: Endpoints) -> dict[str, Staging]:
    return {name: endpoint.staging for name, endpoint in endpoints.items() if endpoint.staging}


def stage_on(endpoints: Endpoints, models: Mapping[str, Model]) -> Ready | Pending | Refused:
    """Have the models deployed, by target; return the worst of what the targets say."""
    targets = staging_of(endpoints)
    asked = at_once(lambda name: targets[name].stage(models[name]), models)
    outcomes = dict(zip(models, asked, strict=True))
    for name, outcome in outcomes.items():
        if isinstance(outcome, Refused):
            return Refused(f"{name} cannot serve the model: {outcome.reason}")
    pending = [outcome for outcome in outcomes.values() if isinstance(outcome, Pending)]
    return max(pending, key=lambda each: each.after) if pending else Ready()


def staged_answers(endpoints: Endpoints, models: Mapping[str, Model], rows: Rows) -> dict[str, Rows]:
    """Return what the models answer, by target, whatever their shares of the calls."""
    targets = staging_of(endpoints)
    answers = at_once(lambda name: targets[name].score_staged(models[name], rows), models)
    return dict(zip(models, answers, strict=True))


def doubt_of_staged(answers: Mapping[str, Rows], expected: Rows | None, live: Mapping[str, Rows]) -> str | None:
    """Return what speaks against these being the new model's answers, by target, or None.

    `expected` are its answers for the last rows, if training gave them; without them, others than those of the `live`
    model show which one answers.
    """
    for name, given in answers.items():
        if expected and not same_answers(expected, last(given, len(expected.values)), ALIKE):
            return f"On {name} the model does not answer as it did in training"
        if expected is None and same_answers(live[name], given):
            return (
                f"On {name} the model answers all kept rows as the live one does, and nothing shows which one answers: "
                "give proof.rows on which they differ, or the held-out rows of the training (scored)"
            )
    return None


def _waits_for(change: Change) -> str:
    return f"waits for the end of the change to entry {change.entry.number}"


def _model(job: RetrainingJob) -> Model:
    assert job.model is not None, "only a job with a model is accepted"
    return job.model
