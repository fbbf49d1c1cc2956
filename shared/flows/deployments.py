"""The flow that drops deployments: of candidates that failed, and of former models that were kept long enough.

Each deployment was recorded before it was asked for, so that none is left behind. The poll looks at each record.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from shared.base.budgets import DROP_SECONDS
from shared.base.errors import NeverAgain, RetrainingError
from shared.base.guard import guarded
from shared.base.threads import in_time
from shared.domain.deployments import OVERDUE, Deployment, Deployments, is_live, is_needed, pause
from shared.domain.jobs import Model
from shared.domain.pipelines import Pipeline
from shared.domain.ports import Endpoints, Pending, Staging
from shared.flows.staging import staging_of
from shared.store import Records

log = logging.getLogger("relearn.deployments")

LOOK_AGAIN = timedelta(minutes=2)
SOON = 2.0  #: seconds until the next look at one that is being dropped, at first


@dataclass(frozen=True)
class DeploymentCleanup:
    pipelines: Mapping[str, Pipeline]
    records: Records
    endpoints: Callable[[Pipeline], Endpoints]
    now: Callable[[], datetime]

    def poll(self, marked: Sequence[str] | None = None) -> None:
        """Drop what is not needed any more on the endpoints of each pipeline that has a record."""
        names = self.records.marks().deployments if marked is None else marked
        in_time(self._look_at, names, DROP_SECONDS, self.now, "pipelines with deployments to drop")

    def _look_at(self, name: str) -> None:
        guarded(lambda: self._look(name), None, f"The deployments of {name}", log)

    def _look(self, name: str) -> None:
        stored, now = self.records.deployments.load(name), self.now()
        found = stored.record
        if found.look_at and found.look_at > now:
            return
        jobs = {each.job: self.records.jobs.record(each.job) for each in found.extra if each.job}
        champion = self.records.champions.load(name)
        left, looks = list[Deployment](), list[datetime]()
        for each in found.extra:
            if is_live(each, champion):
                continue
            if is_needed(each, champion, jobs, now):
                is_kept = not champion.change and each.until and each.until > now
                left.append(each)
                looks.append(each.until if is_kept and each.until else now + LOOK_AGAIN)
            elif dropped := self._dropped(name, each):
                left.append(dropped)
                looks.append(_next_look(dropped, now))
        self.records.deployments.save(stored, Deployments(extra=tuple(left), look_at=min(looks, default=None)))

    def _dropped(self, name: str, deployment: Deployment) -> Deployment | None:
        """Return the deployment after a look, or None once it is gone for good.

        A call that had begun before its job ended may still deploy the model, so that it is looked for once more.
        """
        if deployment.gone and self.now() - deployment.gone < OVERDUE:
            return deployment
        pipeline, model = self.pipelines.get(name), deployment.model
        if pipeline is None:
            log.error("The file has no pipeline %s any more: delete the deployment of %s there", name, model.sha256)
            return None
        try:
            left = [_is_left(target, model) for target in staging_of(self.endpoints(pipeline)).values()]
        except RetrainingError as error:
            log.warning("The deployment of model %s of %s cannot be dropped: %s", model.sha256[:12], name, error)
            return deployment
        if any(left):
            return msgspec.structs.replace(deployment, gone=None)
        log.info("Pipeline %s: nothing serves model %s any more", name, model.sha256[:12])
        return None if deployment.gone else msgspec.structs.replace(deployment, gone=self.now())


def _next_look(deployment: Deployment, now: datetime) -> datetime:
    """Return when to look again at one that is being dropped, or is gone."""
    if deployment.gone:
        return deployment.gone + OVERDUE
    return now + pause(deployment.until or deployment.since, now, SOON)


def _is_left(target: Staging, model: Model) -> bool:
    """Have the target drop the model unless it gets calls; return whether something serves it still."""
    shares = target.shares()
    return not shares.settled or bool(shares.of.get(model.sha256)) or drop(target, model) is not None


def drop(target: Staging, model: Model) -> Pending | None:
    """Have the target drop the model. What it refuses to drop stays, for a person: it holds up nothing else."""
    try:
        return target.drop(model)
    except NeverAgain as error:
        log.error("The deployment of model %s stays: %s", model.sha256[:12], error)
        return None
