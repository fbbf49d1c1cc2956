"""Which files and jobs are stuck, and why. No I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shared.domain.arrivals import Arrival, ArrivalState
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.pipelines import Pipeline

SOON = timedelta(minutes=15)  #: a step that takes longer is worth a look
#: states of a job whose next step is due at once
_DUE = frozenset({JobState.RECEIVED, JobState.SUBMITTED, JobState.ACCEPTED})


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """A file by its path, or a job by its id."""

    pipeline: str
    name: str
    state: str
    since: datetime
    reason: str
    remedy: str


def stuck_jobs(jobs: Iterable[RetrainingJob], now: datetime) -> Iterator[Stuck]:
    """Yield the jobs that met an error, or whose next step is late."""
    for job in jobs:
        reason, since = job.trouble, job.troubled_since
        if reason is None and job.state in _DUE and now - (job.not_before or job.steps[-1].at) > SOON:
            reason, since = "no run has taken its next step", job.steps[-1].at
        if reason:
            yield Stuck(
                pipeline=job.pipeline,
                name=job.id,
                state=job.state.value,
                since=since or job.steps[-1].at,
                reason=reason,
                remedy=f"correct what the line names, or end it: cancel {job.id}",
            )


def stuck_files(
    arrivals: Iterable[Arrival], running: Mapping[str, Sequence[str]], pipelines: Mapping[str, Pipeline], now: datetime
) -> Iterator[Stuck]:
    """Yield the open arrivals that wait for more than their turn. `running` has the jobs of each pipeline."""
    for each in arrivals:
        pipeline, jobs = pipelines.get(each.pipeline), running.get(each.pipeline, ())
        late = now - each.at > SOON
        if each.problem:
            reason, remedy = each.problem, "correct what the line names; the app looks again every 10 minutes"
        elif pipeline is None:
            reason = "the pipelines file has no entry for it any more"
            remedy = f"put the entry {each.pipeline} back"
        elif late and each.state is ArrivalState.READY and not each.marker and len(jobs) >= pipeline.arriving.jobs:
            reason = f"waits until one of {len(jobs)} jobs ends: {', '.join(jobs)}"
            remedy = "see why the jobs take so long, or cancel one"
        elif late and each.state is not ArrivalState.READY and now - each.at > _settling(pipeline):
            reason, remedy = "no run could take it further", "the log of take_up_data says why"
        else:
            continue
        yield Stuck(
            pipeline=each.pipeline,
            name=each.dataset.path,
            state=each.state.value,
            since=each.at,
            reason=reason,
            remedy=remedy,
        )


def lines(stuck: Iterable[Stuck]) -> list[str]:
    """Return one line for each reason, with the first that it holds up."""
    by_reason: dict[str, list[str]] = {}
    for each in stuck:
        by_reason.setdefault(each.reason, []).append(each.name)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
        for reason, names in by_reason.items()
    ]


def _settling(pipeline: Pipeline) -> timedelta:
    return timedelta(seconds=pipeline.arriving.settle) + SOON
