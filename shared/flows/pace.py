"""How often the service of a training is asked for it: the longer it runs, the less often."""

from collections.abc import Collection
from datetime import datetime

from shared.domain.jobs import JobState, RetrainingJob

SHARE = 20  #: a training is asked for again after this part of its time at most
#: seconds between two looks. Each is a multiple of the next, so that long trainings are asked for in the same polls,
#: together where the service can do that.
PERIODS = (120, 60, 30)


def is_due(since: datetime, asked: datetime, now: datetime) -> bool:
    """Return whether a training that runs since then is to be asked for again."""
    age = (now - since).total_seconds()
    for period in PERIODS:
        if period * SHARE <= age:
            return asked.timestamp() // period < now.timestamp() // period
    return True


class Pace:
    """When this process last asked for each training. A new process asks for all of them once."""

    def __init__(self) -> None:
        self._asked: dict[str, datetime] = {}

    def takes(self, job: RetrainingJob, now: datetime) -> bool:
        """Return whether this poll takes the job. After an error, `not_before` says when."""
        since, asked = job.running_since or job.submitted_at, self._asked.get(job.id)
        if job.state is not JobState.TRAINING or job.trouble or since is None or asked is None:
            return True
        return is_due(since, asked, now)

    def note(self, job: RetrainingJob, now: datetime) -> None:
        if job.state is JobState.TRAINING:
            self._asked[job.id] = now

    def keep(self, active: Collection[str]) -> None:
        """Forget the jobs that are no longer active."""
        for job_id in self._asked.keys() - active:
            del self._asked[job_id]
