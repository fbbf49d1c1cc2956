"""The world of the pure core in memory, with the ways in which it fails. The only fakes there are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from threading import Lock
from typing import Any

import msgspec

from shared.base.errors import Busy, DataChanged, RecordChanged, RetrainingError, ServiceRefused, ServiceUnavailable
from shared.base.secret import Secret
from shared.domain.arrivals import ArrivalSettings
from shared.domain.checks import Checks, Column
from shared.domain.fleets import Fleet, Pipelines
from shared.domain.folders import Files, read_folder
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import Dataset, Model
from shared.domain.joining import joined, name_in_folder
from shared.domain.pipelines import Pipeline
from shared.domain.ports import (
    SHOWN_AT_MOST,
    BesJob,
    BlobReference,
    Document,
    Finished,
    KeptModel,
    Lease,
    NotStarted,
    Pending,
    Ready,
    Refused,
    Shares,
    Staging,
    Wait,
)
from shared.domain.rows import Rows
from shared.domain.services import ClassicTarget, ScoringService, TrainingService
from shared.domain.values import Address
from shared.flows import Flows
from shared.flows.retention import KeepRule
from shared.store import Records

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
EVALUATION = b"AUC,Recall\n0.95,0.9\n"


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class FakeDocuments:
    def __init__(self, now: Callable[[], datetime] = lambda: START) -> None:
        self.now = now
        self.written: dict[str, datetime] = {}
        self.contents: dict[str, bytes] = {}
        self.versions: dict[str, int] = {}
        self.listed: set[str] = set()  #: documents whose content a list shows
        self.leased: dict[str, FakeLease] = {}
        self.expired: dict[str, FakeLease] = {}  #: leases that can be renewed, for nobody wrote or leased since
        self.abandoned: set[str] = set()  #: documents whose holder died, or lost its lease
        self.reads = 0
        self.renewals = 0
        self.die_after: int | None = None  #: writes until the process dies, after the last of them took effect
        self.death: type[BaseException] = KeyboardInterrupt
        self.lease_lost = False
        self._one = Lock()  # a conditional write is one step, as the storage has it

    def read(self, name: str) -> Document | None:
        with self._one:
            self.reads += 1
        content = self.contents.get(name)
        return (
            None
            if content is None
            else Document(content, str(self.versions[name]), name in self.abandoned or name in self.leased)
        )

    def create(self, name: str, content: bytes, *, shown: bool = False) -> str | None:
        with self._one:
            if name in self.contents:
                return None
            if shown and len(content) <= SHOWN_AT_MOST:
                self.listed.add(name)
            return self._write(name, content)

    def replace(self, name: str, content: bytes, etag: str, lease: Lease | None = None) -> str:
        with self._one:
            self._refuse_others(name, lease)
            if self.contents.get(name) is None or str(self.versions[name]) != etag:
                raise RecordChanged(name)
            self.listed.discard(name)
            return self._write(name, content)

    def delete(self, name: str, etag: str | None = None) -> None:
        with self._one:
            self._refuse_others(name, None)
            if etag and name in self.contents and str(self.versions[name]) != etag:
                raise RecordChanged(name)
            self.contents.pop(name, None)
            self.listed.discard(name)
            self.live()

    def names(self, prefix: str) -> Iterator[str]:
        return iter(sorted(name for name in list(self.contents) if name.startswith(prefix)))

    def shown(self, prefix: str) -> Iterator[tuple[str, bytes | None]]:
        return ((name, self.contents[name] if name in self.listed else None) for name in self.names(prefix))

    def latest(self, prefix: str) -> list[tuple[str, datetime]]:
        found = [(name, self.written.get(name, START)) for name in self.names(prefix)]
        return sorted(found, key=lambda each: each[1], reverse=True)

    @contextmanager
    def lease(self, name: str, etag: str | None = None) -> Iterator[Lease]:
        if name in self.leased:
            raise Busy(name)
        if etag and str(self.versions[name]) != etag:
            raise RecordChanged(name)
        lease = self.leased[name] = FakeLease(self, name)
        self.expired.pop(name, None)
        self.abandoned.discard(name)
        try:
            yield lease
        except KeyboardInterrupt:
            self.abandoned.add(name)
            raise
        finally:
            if self.leased.get(name) is lease:
                del self.leased[name]

    def expire(self, name: str) -> None:
        """Let the lease run out, as it does when its holder is stopped."""
        self.expired[name] = self.leased.pop(name)
        self.abandoned.add(name)

    def break_lease(self, name: str) -> None:
        del self.leased[name]
        self.abandoned.add(name)

    def _refuse_others(self, name: str, lease: Lease | None) -> None:
        if self.leased.get(name) is not lease or (lease and self.lease_lost):
            raise Busy(f"{name} is leased, or the lease is lost")

    def _write(self, name: str, content: bytes) -> str:
        self.contents[name] = content
        self.expired.pop(name, None)
        self.versions[name] = self.versions.get(name, 0) + 1
        self.written[name] = self.now()
        self.live()
        return str(self.versions[name])

    def live(self) -> None:
        """Die here, if it is time for that."""
        if self.die_after is not None:
            self.die_after -= 1
            if self.die_after < 0:
                raise self.death


class FakeLease:
    id = "lease"

    def __init__(self, documents: FakeDocuments, name: str) -> None:
        self._documents, self._name = documents, name

    def renew(self) -> None:
        self._documents.renewals += 1
        if self._documents.expired.get(self._name) is self:
            self._documents.leased[self._name] = self._documents.expired.pop(self._name)
        if self._documents.lease_lost or self._documents.leased.get(self._name) is not self:
            raise Busy("the lease is lost")


class FakeModels:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept: dict[str, bytes] = {}
        self.folders: dict[str, dict[str, bytes]] = {}  #: the files of the models that are folders
        self.touched: dict[str, datetime] = {}
        self._etags: dict[str, int] = {}

    def keep(self, chunks: Iterator[bytes]) -> Model:
        content = b"".join(chunks)
        model = Model(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        self.kept[model.sha256] = content
        self.touch(model)
        return model

    def keep_folder(self, files: Files) -> Model:
        copy = BytesIO()
        manifest = read_folder(files, copy)
        copy.seek(0)
        model = manifest.model
        self.folders[model.sha256] = {file.path: copy.read(file.size) for file in manifest.files}
        self.kept[model.sha256] = copy.getvalue()
        self.touch(model)
        return model

    def _model(self, sha256: str) -> Model:
        return Model(sha256=sha256, size=len(self.kept[sha256]), folder=sha256 in self.folders)

    def touch(self, model: Model) -> bool:
        if model.sha256 in self.kept:
            self.touched[model.sha256] = self._clock.now()
            self._etags[model.sha256] = self._etags.get(model.sha256, 0) + 1
        return model.sha256 in self.kept

    def listed(self) -> Iterator[KeptModel]:
        for sha256 in sorted(self.kept):
            yield KeptModel(self._model(sha256), self.touched[sha256], str(self._etags.get(sha256)))

    def remove(self, kept: KeptModel) -> bool:
        if kept.model.sha256 not in self.kept or str(self._etags.get(kept.model.sha256)) != kept.etag:
            return False
        del self.kept[kept.model.sha256], self.touched[kept.model.sha256]
        self.folders.pop(kept.model.sha256, None)
        return True

    def remove_unfinished(self, before: datetime) -> None:
        """Do nothing: here a model is kept in one step."""

    def link(self, model: Model) -> BlobReference:
        return BlobReference("https://store.example/", f"models/{model.name}")

    def find(self, sha256: str) -> list[Model]:
        return [self._model(each) for each in sorted(self.kept) if each.startswith(sha256)]

    def identify(self, reference: BlobReference, known: Collection[Model] = ()) -> Model | None:
        for model in known:
            if self.link(model).address == reference.address:
                return model
        for model in map(self._model, list(self.kept)):
            if self.link(model).address == reference.address:
                return model
        return None


class FakeData:
    """`contents` by path; `joined` by name; `fails` are errors in the place of a gathered folder."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.times: dict[str, datetime] = {}
        self.modified = START
        self.joined: dict[str, bytes] = {}
        self.fails: list[Exception] = []
        self.aside: dict[str, bytes] = {}  #: reports by folder
        self.copies: dict[str, bytes] = {}  #: by folder
        self.unreadable: dict[str, Exception] = {}  #: by path: what reading it raises
        self.held: dict[str, Exception] = {}  #: by path: what deleting it raises
        self.put_back_by: dict[str, str] = {}  #: requests by ETag
        self.alive: Callable[[], None] = lambda: None  #: called after each change: the process may die there

    def put(self, path: str, content: bytes) -> None:
        self.modified += timedelta(seconds=1)
        self.contents[path], self.times[path] = content, self.modified

    def find(self, path: str) -> Dataset | None:
        content = self.contents.get(path)
        if content is None:
            return None
        modified = self.times[path]
        etag = hashlib.sha256(content + str(modified).encode()).hexdigest()
        return Dataset(path=path, etag=etag, modified=modified, size=len(content))

    def require(self, path: str) -> Dataset:
        found = self.find(path)
        assert found, f"nothing is at {path}"
        return found

    def listed(self, prefix: str = "") -> Iterator[Dataset]:
        for path in sorted(self.contents):
            if path.startswith(prefix) and (found := self.find(path)):
                yield found

    def read(self, dataset: Dataset) -> Iterator[bytes]:
        if self.find(dataset.path) != dataset:
            raise DataChanged(f"{dataset.path} was overwritten")
        if dataset.path in self.unreadable:
            raise self.unreadable[dataset.path]
        yield self.contents[dataset.path]

    def join(self, name: str, parts: Sequence[Dataset], after: str | None) -> None:
        if name in self.joined:
            return
        if after and after not in self.joined:
            raise DataChanged(f"batches/{after} was deleted")
        former = [(after, iter([self.joined[after]]))] if after else []
        self.joined[name] = b"".join(joined([*former, *((part.path, self.read(part)) for part in parts)]))

    def gather(self, folder: str, parts: Sequence[Dataset], after: str | None) -> str:
        if self.fails:
            raise self.fails.pop(0)
        former = [(name, iter([self.joined[name]])) for name in sorted(self.joined) if after and name.startswith(after)]
        files = [*former, *((part.path, self.read(part)) for part in parts)]
        for number, (path, chunks) in enumerate(files, 1):
            self.joined[folder + name_in_folder(number, path)] = b"".join(chunks)
        return f"batches/{folder}*"

    def batched(self, prefix: str) -> Iterator[Dataset]:
        for name in sorted(self.joined):
            if name.startswith(prefix):
                yield Dataset(path=name, etag=name, modified=self.times.get(name, START), size=len(self.joined[name]))

    def delete_batched(self, dataset: Dataset) -> None:
        self.joined.pop(dataset.path, None)

    def link(self, path: str, seconds: float) -> BlobReference:  # noqa: ARG002
        return BlobReference("https://store.example/", f"training-data/{path}")

    def link_joined(self, name: str, seconds: float) -> BlobReference:  # noqa: ARG002
        return BlobReference("https://store.example/", f"batches/{name}")

    def set_aside(
        self,
        dataset: Dataset,
        folder: str,
        report: bytes,
        reason: bytes,  # noqa: ARG002
        *,
        copy: bool = True,
    ) -> str:
        if copy:
            if self.find(dataset.path) != dataset and folder not in self.copies:
                raise DataChanged(f"{dataset.path} was overwritten or deleted")
            self.copies.setdefault(folder, self.contents.get(dataset.path, b""))
        self.alive()
        self.aside[folder] = report
        return f"quarantine/{folder}/{dataset.path.rpartition('/')[2]}"

    def read_set_aside(self, path: str, folder: str) -> Iterator[bytes]:
        if folder not in self.copies:
            raise DataChanged(f"{path} was deleted")
        yield self.copies[folder]

    def delete(self, dataset: Dataset) -> None:
        if self.find(dataset.path) == dataset:
            if dataset.path in self.held:
                raise self.held[dataset.path]
            del self.contents[dataset.path]
            self.alive()

    def put_back(self, path: str, folder: str, request_id: str) -> Dataset:
        if path not in self.contents:
            if folder not in self.copies:
                raise DataChanged(f"{path} is not in quarantine any more")
            self.put(path, self.copies[folder])
            self.put_back_by[self.require(path).etag] = request_id
            self.alive()
        there = self.require(path)
        if self.put_back_by.get(there.etag) != request_id:
            raise DataChanged(f"Something newer is at {path}")
        return there


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


class World:
    """The flows over fakes: one pipeline `income` with two targets; `facts` are those of its configuration.

    `staged`: the targets make a model ready beside the live one, and give it a share of the calls.
    """

    def __init__(
        self, rules: tuple[str, ...] = ("AUC >= 0.9",), baseline: float = 0.9, *, staged: bool = False, **facts: Any
    ) -> None:
        self.clock = Clock()
        self.documents = FakeDocuments(self.clock.now)
        self.models = FakeModels(self.clock)
        self.data, self.reader = FakeData(), FakeReader()
        self.data.alive = self.documents.live
        self.service, self.scoring = FakeService(), FakeService()
        self.records = Records(self.documents)
        deployed = BlobReference("https://other.example/", "first.ilearner")
        self.staged = staged
        self.endpoints = {name: self._endpoint(deployed) for name in ("one", "two")}
        self.alone = {"income": msgspec.structs.replace(_pipeline(rules, baseline), **facts)}
        self.fleets: dict[str, Fleet] = {}
        self.of_members: dict[str, dict[str, FakeEndpoint]] = {}

    @property
    def pipelines(self) -> Pipelines:
        return Pipelines(self.alone, self.fleets, self.records.arrivals.known)

    def endpoints_of(self, pipeline: Pipeline) -> Mapping[str, FakeEndpoint]:
        """Return the pipeline's endpoints; a member of a fleet has one of its own."""
        if pipeline.fleet is None:
            return self.endpoints
        deployed = BlobReference("https://other.example/", "first.ilearner")
        made = {target.name: self._endpoint(deployed) for target in pipeline.targets}
        return self.of_members.setdefault(pipeline.name, made)

    def _endpoint(self, deployed: BlobReference) -> FakeEndpoint:
        if self.staged:
            return FakeStagedEndpoint(self.clock, self.models, deployed, self.documents.live)
        return FakeEndpoint(self.clock, self.models, deployed)

    @property
    def flows(self) -> Flows:
        """The app's flows. They are made at each use, as after a restart: nothing is kept but the records."""
        return Flows(self, self.clock)

    @property
    def keep_rule(self) -> KeepRule:
        return KeepRule(entries=2)

    def reader_of(self, pipeline: Pipeline) -> FakeReader:  # noqa: ARG002
        return self.reader

    def training_service(self, pipeline: Pipeline) -> FakeService:  # noqa: ARG002
        return self.service

    def scoring_service(self, pipeline: Pipeline) -> FakeService:  # noqa: ARG002
        return self.scoring

    def put(self, name: str, content: bytes | None = None) -> str:
        """Put a data set there without an event; return its path. Unless given, the content is like no other."""
        path = f"income/{name}"
        self.clock.sleep(1)
        self.data.put(path, f"age\n{len(self.data.contents) + 1}\n".encode() if content is None else content)
        return path

    def drop(self, name: str, content: bytes | None = None) -> str:
        """Drop a data set, take its event and take it up; return the job's id."""
        self.flows.intake.see(self.put(name, content))
        [job_id] = self.take_up()
        return job_id

    def take_up(self) -> list[str]:
        """Do what the timer does; return the ids of the new jobs."""
        return [self.flows.training.start(job).id for job in self.flows.intake.take_up()]

    def run(self, until: Callable[[], bool], minutes: int = 30) -> None:
        """Poll every 15 seconds and deliver each message, again after 30 seconds when it fails."""
        end = self.clock.now() + timedelta(minutes=minutes)
        while not until() and self.clock.now() < end:
            self.take_up()
            for request in self.flows.training.poll():
                for _ in range(5):
                    try:
                        self.flows.requests.carry_out(request, f"message of {request.job}")
                        break
                    except ServiceUnavailable:
                        self.clock.sleep(30)
            self.clock.sleep(15)

    def accepted(self, name: str = "a.csv") -> str:
        """Return a job that the gate has passed."""
        job_id = self.drop(name)
        self.flows.training.poll()
        return job_id


def refused() -> ServiceRefused:
    return ServiceRefused("PATCH answered 400", 400, ["BadArgument"])


def _pipeline(rules: tuple[str, ...], baseline: float) -> Pipeline:
    address, key = Address("https://studio.example"), Secret("key")
    scoring = ScoringService(address=address, key=key)
    return Pipeline(
        name="income",
        blobs="income/*.csv",
        checks=Checks(columns=(Column(name="age"),)),
        arriving=ArrivalSettings(settle=0.0, jobs=10),
        training=TrainingService(address=address, key=key, model="output1", evaluation="output2"),
        gate=Gate(rules=[parse_rule(rule) for rule in rules], baseline={"AUC": baseline}),
        targets=[
            ClassicTarget(name=name, address=address, key=key, resource="r", scoring=scoring) for name in ("one", "two")
        ],
        rows=Rows(["age"], [["39"]]),
        proof_timeout=180.0,
    )
