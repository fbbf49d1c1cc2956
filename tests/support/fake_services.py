"""The training service and the web services in memory, with the ways in which they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock

from shared.base.errors import RetrainingError, ServiceRefused, ServiceUnavailable
from shared.domain.folders import Files
from shared.domain.jobs import Model
from shared.domain.ports import (
    BesJob,
    BlobReference,
    Finished,
    NotStarted,
    Pending,
    Ready,
    Refused,
    Shares,
    Staging,
    Wait,
)
from shared.domain.rows import Rows
from tests.support.fake_storage import Clock, FakeModels

EVALUATION = b"AUC,Recall\n0.95,0.9\n"


def refused() -> ServiceRefused:
    return ServiceRefused("PATCH answered 400", 400, ["BadArgument"])


class FakeReader:
    """Every model's content is its blob's name; every evaluation is the one given."""

    def __init__(self) -> None:
        self.evaluation = EVALUATION
        self.of_champion: bytes | None = None  #: the rows that a training scored with the champion

    def read(self, reference: BlobReference) -> Iterator[bytes]:
        if self.of_champion and "/champion_scored/" in reference.relative:
            yield self.of_champion
            return
        yield self.evaluation if reference.relative.endswith(".csv") else reference.relative.encode()

    def files(self, reference: BlobReference) -> Files:
        yield "model", iter([reference.relative.encode()])


class FakeService:
    """A training service. `lose` names the calls whose answer is lost after they took effect."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.names: list[str] = []  #: the names that the app gave, one for each of them
        self.data: list[str] = []
        self.parameters: dict[str, str] = {}
        self.champions: list[str | None] = []  #: the model that each got, to score rows with it
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.lose: list[str] = []
        self.fails: list[Exception] = []
        self.answer: BesJob | None = None
        self.asked: list[list[str]] = []  #: the jobs whose states were asked for at once
        self._one = Lock()

    def submit(
        self, name: str, data: BlobReference | None, parameters: Mapping[str, str], champion: Model | None = None
    ) -> str:
        self._fail()
        self.champions.append(champion.sha256 if champion else None)
        self.names.append(name)
        if data:
            self.data.append(data.relative)
        self.parameters = dict(parameters)
        with self._one:
            job = f"bes-{len(self.created) + 1}"
            self.created.append(job)
        self._lose("submit")
        return job

    def start(self, bes_job: str) -> None:
        self._fail()
        if bes_job not in self.started:
            self.started.append(bes_job)
        self._lose("start")

    def status(self, bes_job: str) -> BesJob:
        self._fail()
        self._lose("status")
        if self.answer is not None:
            return self.answer
        if bes_job not in self.started:
            return NotStarted()
        return Finished(
            {
                "output2": BlobReference("https://store.example/", f"results/{bes_job}.csv"),
                "output1": BlobReference("https://store.example/", f"results/{bes_job}.ilearner"),
            }
        )

    def statuses(self, bes_jobs: Sequence[str]) -> Mapping[str, BesJob | RetrainingError]:
        self.asked.append(list(bes_jobs))
        found: dict[str, BesJob | RetrainingError] = {}
        for bes_job in bes_jobs:
            try:
                found[bes_job] = self.status(bes_job)
            except RetrainingError as error:
                found[bes_job] = error
        return found

    def cancel(self, bes_job: str) -> None:
        self.cancelled.append(bes_job)

    def _fail(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    def _lose(self, call: str) -> None:
        if call in self.lose:
            self.lose.remove(call)
            raise ServiceUnavailable(f"{call} got no answer")


class FakeEndpoint:
    """An endpoint that answers with its model's content.

    `late`: seconds until an update takes effect; `deaf`: updates answered well that have none; `loses`: updates that
    take effect and whose answer is lost; `refuses`: errors instead of updates; `slow`: seconds that an answer takes;
    `fails`: errors instead of answers.
    """

    staging: Staging | None = None

    def __init__(self, clock: Clock, models: FakeModels, deployed: BlobReference) -> None:
        self._clock, self._models = clock, models
        self.named = self.serves = deployed
        self._next: tuple[datetime, BlobReference] | None = None
        self.late, self.deaf, self.loses = 0.0, 0, 0
        self.refuses: list[Exception] = []
        self.stopped: Callable[[], None] | None = None  #: what happens while the next update is on its way
        self.slow = 0.0
        self.fails: list[Exception] = []
        self.updates = 0

    def model(self) -> BlobReference:
        return self.named

    def update(self, model: BlobReference, wait: Wait) -> None:  # noqa: ARG002
        self.updates += 1
        if meanwhile := self.stopped:
            self.stopped = None
            meanwhile()
        if self.refuses:
            raise self.refuses.pop(0)
        if self.deaf:
            self.deaf -= 1
            self.named = model
            return
        self.named = model
        self._next = (self._clock.now() + timedelta(seconds=self.late), model)
        if self.loses:
            self.loses -= 1
            raise ServiceUnavailable("PATCH got no answer")

    def score(self, rows: Rows) -> Rows:
        self._clock.sleep(self.slow)
        if self.fails:
            raise self.fails.pop(0)
        if self._next and self._next[0] <= self._clock.now():
            self.serves, self._next = self._next[1], None
        kept = self._models.identify(self.serves)
        content = self._models.kept[kept.sha256].decode() if kept else self.serves.relative
        return Rows(["Scored Labels"], [[content] for _ in rows.values])


class FakeStagedEndpoint(FakeEndpoint):
    """An endpoint with a deployment for each model, by the model's SHA-256, and shares of the calls.

    `blue` is what somebody else deployed. `pending` is how many looks a new deployment takes, `late_shares` how many
    new shares take; `deaf` are changes of the shares without effect; `lose` names the calls whose answer is lost
    after they took effect; `errors` has errors in the place of answers, by call; `refused` has the contents of models
    that no deployment can serve, `wrong` those that answer otherwise than in training, `broken` those that answer
    with an error, `slow_models` how long others take.
    """

    def __init__(self, clock: Clock, models: FakeModels, deployed: BlobReference, alive: Callable[[], None]) -> None:
        super().__init__(clock, models, deployed)
        self._blue, self._alive = deployed, alive
        self._adopted: str | None = None
        self.deployments: dict[str, int] = {"blue": 0}  #: looks until it answers
        self.of: dict[str, int] = {"blue": 100}
        self.mirrored: dict[str, int] = {}
        self._coming: tuple[int, dict[str, int]] | None = None
        self.pending = self.late_shares = self.late_drops = 0
        self._leaving: dict[str, int] = {}
        self.lose: list[str] = []
        self.errors: dict[str, list[Exception]] = {}
        self.refused: set[str] = set()
        self.wrong: set[str] = set()
        self.broken: set[str] = set()
        self.alike = False  #: all models answer alike
        self.slow_models: dict[str, float] = {}
        self.calls: list[str] = []  #: those that change something, as they were taken
        self.most = 1  #: deployments there were at once
        self.proven = {"blue"}  #: what was scored, or live, before it got calls of users
        self.served_unproven: list[str] = []

    @property
    def staging(self) -> FakeStagedEndpoint:  # type: ignore[override]
        return self

    def model(self) -> BlobReference:
        self._fail("model")
        name = max(self.of, key=lambda each: self.of[each])
        if name == "blue":
            return self._models.link(self._kept(self._adopted)) if self._adopted else self._blue
        return self._models.link(self._kept(name))

    def update(self, model: BlobReference, wait: Wait) -> None:
        kept = self._models.identify(model)
        assert kept is not None
        while (pending := self.share({kept.sha256: 100})) is not None:
            wait(pending.after)

    def score(self, rows: Rows) -> Rows:
        return self._answers(max(self.of, key=lambda each: self.of[each]), rows)

    def adopt(self, model: Model) -> None:
        self._fail("adopt")
        self._adopted = model.sha256
        self._took("adopt")

    def stage(self, model: Model) -> Ready | Pending | Refused:
        self._fail("stage")
        name = self._name(model.sha256)
        if name in self._leaving:
            return Pending(30.0)
        if name not in self.deployments:
            self.deployments[name] = self.pending
            self.most = max(self.most, len(self.deployments))
            self._took("stage")
            return Pending(30.0)
        if self._models.kept[model.sha256].decode() in self.refused:
            return Refused("ImageBuildFailure: the last lines of the log")
        if self.deployments[name]:
            self.deployments[name] -= 1
            return Pending(30.0)
        return Ready()

    def score_staged(self, model: Model, rows: Rows) -> Rows:
        name = self._name(model.sha256)
        if name not in self.deployments:
            raise ServiceRefused(f"POST score answered 404: no deployment {name[:12]}", 404)
        answers = self._answers(name, rows)
        self.proven.add(name)
        return answers

    def score_pieces(self, model: Model, rows: Rows, begin: int) -> Iterator[Rows]:
        for place in range(begin, len(rows.values), 500):
            yield self.score_staged(model, Rows(rows.columns, rows.values[place : place + 500]))

    def shares(self) -> Shares:
        self._fail("shares")
        if self._coming:
            looks, shares = self._coming
            self._coming = (looks - 1, shares)
            if looks > 1:
                return Shares(self._shown(), settled=False)
            self._coming = None
            self._apply(shares)
        return Shares(self._shown(), settled=True)

    def share(self, shares: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> Pending | None:
        self._fail("share")
        asked = {self._name(each): share for each, share in shares.items() if share}
        mirrored = {self._name(each): share for each, share in (mirror or {}).items()}
        now = self.shares()
        if not now.settled:
            return Pending(30.0)
        if {each: share for each, share in self.of.items() if share} == asked and mirrored == self.mirrored:
            return None
        for name in asked:
            if name not in self.deployments or self.deployments[name]:
                raise ServiceRefused(f"PUT answered 400: no deployment {name[:12]} is ready", 400)
        self.mirrored = mirrored
        if self.deaf:
            self.deaf -= 1
        elif self.late_shares:
            self._coming = (self.late_shares, asked)
        else:
            self._apply(asked)
        self._took("share")
        return Pending(30.0)

    def drop(self, model: Model) -> Pending | None:
        self._fail("drop")
        name = self._name(model.sha256)
        if self.of.get(name):
            raise ServiceRefused(f"DELETE answered 400: {name[:12]} has calls", 400)
        if name not in self.deployments:
            return None
        looks = self._leaving.get(name, self.late_drops)
        if looks:
            self._leaving[name] = looks - 1
        else:
            self._leaving.pop(name, None)
            del self.deployments[name]
            self.of.pop(name, None)
        self._took("drop")
        return Pending(30.0)

    def describe(self, model: Model) -> Mapping[str, str]:
        return {"endpoint": "income", "deployment": f"m{model.sha256[:12]}"}

    def put_by_others(self, shares: Mapping[str, int]) -> None:
        """Have somebody else give the deployments these shares."""
        self._coming = None
        self.deployments |= {each: 0 for each in shares if each not in self.deployments}
        self.of = dict(shares)

    def heal(self) -> None:
        """Have the service and all models do well from now on."""
        self.pending = self.late_shares = self.late_drops = self.deaf = 0
        self.deployments = dict.fromkeys(self.deployments, 0)
        self.slow = 0.0
        for each in (self.lose, self.fails, self.errors, self.refused, self.wrong, self.broken, self.slow_models):
            each.clear()  # type: ignore[attr-defined]

    def contents(self) -> set[str]:
        """Return the contents of the models that are deployed."""
        return {self.content(name) for name in self.deployments}

    def _apply(self, shares: Mapping[str, int]) -> None:
        self.of = dict(shares)
        self.served_unproven += [each for each, share in shares.items() if share and each not in self.proven]

    def _answers(self, name: str, rows: Rows) -> Rows:
        content = self.content(name)
        self._clock.sleep(self.slow + self.slow_models.get(content, 0.0))
        if self.fails:
            raise self.fails.pop(0)
        if content in self.broken:
            raise ServiceUnavailable(f"POST score answered 424: {content} fails")
        given = "the same" if self.alike else f"not {content}" if content in self.wrong else content
        return Rows(["Scored Labels"], [[given] for _ in rows.values])

    def content(self, name: str) -> str:
        if name == "blue":
            return self._blue.relative
        return self._models.kept[name].decode() if name in self._models.kept else name

    def _kept(self, sha256: str) -> Model:
        found = self._models.find(sha256)
        return found[0] if found else Model(sha256=sha256, size=0)

    def _name(self, sha256: str) -> str:
        return "blue" if sha256 == self._adopted else sha256

    def _shown(self) -> dict[str, int]:
        names = {"blue": self._adopted or "blue"}
        return {names.get(each, each): self.of.get(each, 0) for each in self.deployments}

    def _fail(self, call: str) -> None:
        if waiting := self.errors.get(call):
            raise waiting.pop(0)

    def _took(self, call: str) -> None:
        self.calls.append(call)
        self._alive()
        if call in self.lose:
            self.lose.remove(call)
            raise ServiceUnavailable(f"{call} got no answer")
