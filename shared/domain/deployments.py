"""The deployments that a pipeline's endpoints have beside the live model, and when one of them may go. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.base.budgets import CALL_SECONDS
from shared.base.decoding import Moment
from shared.domain.azureml import AzureMLOnlineTarget
from shared.domain.champions import Champion
from shared.domain.jobs import JobState, Model, RetrainingJob
from shared.domain.pipelines import Pipeline
from shared.domain.ports import Endpoints

#: states of a job that needs its candidate to be deployed
_NEEDING = frozenset({JobState.JUDGING, JobState.STAGING, JobState.PROMOTING})
LONGEST = 120.0  #: seconds between two looks at a deployment that is being made, unless the service asks for more
#: how long a call that had begun before its job ended may still deploy the model
OVERDUE = timedelta(seconds=CALL_SECONDS)


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One model that is deployed, or may be, on every target of the pipeline."""

    model: Model
    since: Moment
    job: str | None = None  #: whose candidate it is; None for a former model, and for one that a person asked for
    until: Moment | None = None  #: a former model is kept so long for a rollback
    gone: Moment | None = None  #: since when nothing serves it


class Deployments(msgspec.Struct, frozen=True, kw_only=True):
    """What is deployed beside the live model. A deployment is written here before the service is asked for it."""

    extra: tuple[Deployment, ...]
    look_at: Moment | None = None  #: when to look next whether one may go

    def of(self, model: Model) -> Deployment | None:
        return next((each for each in self.extra if each.model == model), None)

    def having(self, deployment: Deployment, **facts: Any) -> Deployments:
        """Return the record with the deployment in place of one of the same model; it is looked at soon."""
        others = (each for each in self.extra if each.model != deployment.model)
        return Deployments(extra=(*others, msgspec.structs.replace(deployment, **facts)))

    def beside(self, model: Model) -> list[Deployment]:
        """Return what else is there, and costs as long."""
        return [each for each in self.extra if each.model != model and each.gone is None]


def pause(begun: datetime, now: datetime, after: float) -> timedelta:
    """Return how long to wait for what the service works on since then: the longer, the longer it takes."""
    return timedelta(seconds=max(after, min((now - begun).total_seconds() / 2, LONGEST)))


def is_staged(endpoints: Endpoints) -> bool:
    """Return whether a model is made ready beside the live one on these endpoints."""
    return bool(endpoints) and all(endpoint.staging for endpoint in endpoints.values())


def is_needed(
    deployment: Deployment, champion: Champion, jobs: Mapping[str, RetrainingJob | None], now: datetime
) -> bool:
    """Return whether the model is still to be deployed. `jobs` are those that the deployments name."""
    if champion.change or (deployment.until and deployment.until > now):
        return True  # a change may need any of them
    job = jobs.get(deployment.job) if deployment.job else None
    return job is not None and job.state in _NEEDING


def is_live(deployment: Deployment, champion: Champion) -> bool:
    return champion.live is not None and deployment.model in champion.live.models.values()


def keep_former(pipeline: Pipeline) -> timedelta:
    """Return how long a former model stays deployed for a rollback: not shorter than the bake that may need it."""
    kept = [float(target.keep_former) for target in pipeline.targets if isinstance(target, AzureMLOnlineTarget)]
    return timedelta(seconds=max([*kept, pipeline.bake.time if pipeline.bake else 0.0]))
