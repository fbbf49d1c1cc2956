"""The runs of a workspace, by MLflow: what a job logged, and the states of many jobs in few calls.

A search that names a state is refused by the service, and one over several experiments must name them. So the runs that
have the app's tag are read page after page, the newest first, until those that are asked for are there.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol, TypeVar

from shared.adapters.azureml.job_body import ALL
from shared.adapters.http import Answer
from shared.base.errors import RetrainingError

T = TypeVar("T")

PAGE = 1000  #: runs or experiments of an answer, at most
MOST_RUNS, MOST_EXPERIMENTS = 12, 3  #: pages of one search
FEW = 5  #: jobs of which each is asked for by itself: another page would be more
FRESH, FRESH_PER_RUN = 2.0, 0.02  #: seconds for which a search counts at most, and more for each run of it


class Call(Protocol):
    def __call__(self, method: str, path: str, body: Any = None, **query: str) -> Answer: ...


@dataclass(frozen=True)
class Run:
    id: str
    experiment: str
    status: str
    ended: float | None  #: seconds since the epoch
    metrics: Mapping[str, str]


@dataclass
class _Search:
    """What is known of the newest runs. The groups of one poll share it.

    A poll asks for each job once, so a job that is asked for again begins another search.
    """

    begun: float
    experiments: list[str] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)  #: by id in lower case
    answered: set[str] = field(default_factory=set)  #: names whose states were given to who asked
    token: str = ""
    pages: int = 0
    left: int = 0  #: jobs that were left to be asked for each by itself
    error: RetrainingError | None = None

    @property
    def is_over(self) -> bool:
        return self.pages >= MOST_RUNS or (self.pages > 0 and not self.token)


class Runs:
    """`call` calls MLflow's tracking."""

    def __init__(self, call: Call, clock: Callable[[], float] = time.monotonic) -> None:
        self._call, self._clock = call, clock
        self._lock = Lock()
        self._search: _Search | None = None

    def get(self, run: str) -> Run:
        return self._call("GET", "runs/get", run_id=run).read(lambda body: _run(body["run"]), "run")

    def children(self, run: Run) -> list[Run]:
        """Return the runs of the steps of a pipeline job."""
        return self._runs([run.experiment], f"tags.mlflow.parentRunId = '{run.id}'", "")[0]

    def states(self, names: Sequence[str]) -> dict[str, str]:
        """Return the states of runs by name, as old as the poll that asks.

        A run that is left out was not found, or is one of so few that each is asked for by itself.
        """
        with self._lock:
            search = self._current(names)
            if search.error:
                raise search.error
            try:
                while (missing := sum(name.lower() not in search.states for name in names)) > FEW - search.left:
                    if search.is_over:
                        break
                    self._extend(search)
            except RetrainingError as error:
                search.error = error
                raise
            search.left += missing
            found = {name: search.states[name.lower()] for name in names if name.lower() in search.states}
            search.answered.update(found)
            return found

    def _current(self, names: Sequence[str]) -> _Search:
        search, now = self._search, self._clock()
        is_old = search is None or now - search.begun > FRESH + FRESH_PER_RUN * len(search.states)
        if search is None or is_old or not search.answered.isdisjoint(names):
            search = self._search = _Search(begun=now)
        return search

    def _extend(self, search: _Search) -> None:
        search.experiments = search.experiments or self._experiments()
        runs, search.token = self._runs(search.experiments, f"tags.{ALL} = 'job'", search.token)
        search.pages += 1
        search.states |= {run.id.lower(): run.status for run in runs}

    def _experiments(self) -> list[str]:
        found: list[str] = []
        token = ""
        for _ in range(MOST_EXPERIMENTS):
            ids, token = self._page("experiments", lambda each: str(each["experiment_id"]), token)
            found += ids
            if not token:
                break
        return found

    def _runs(self, experiments: Sequence[str], condition: str, token: str) -> tuple[list[Run], str]:
        return self._page("runs", _run, token, experiment_ids=list(experiments), filter=condition)

    def _page(self, kind: str, read: Callable[[Any], T], token: str, **body: Any) -> tuple[list[T], str]:
        """Return one page of a search for runs or experiments, and the token of the next."""
        body |= {"max_results": PAGE, **({"page_token": token} if token else {})}
        answer = self._call("POST", f"{kind}/search", body)
        return answer.read(
            lambda page: ([read(each) for each in page.get(kind) or []], str(page.get("next_page_token") or "")), kind
        )


def _run(body: Any) -> Run:
    info, data = body["info"], body.get("data") or {}
    ended = info.get("end_time")
    return Run(
        id=str(info["run_id"]),
        experiment=str(info["experiment_id"]),
        status=str(info["status"]),
        ended=float(ended) / 1000 if ended else None,
        # A number, or the text "NaN", "Infinity" or "-Infinity".
        metrics={str(each["key"]): str(each["value"]) for each in data.get("metrics") or []},
    )
