"""The world of the pure core in memory, with the ways in which it fails. The only fakes there are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from shared.answer_records import AnswerRecords
from shared.arrival_records import ArrivalRecords
from shared.arriving import Arriving
from shared.checks import Checks, Column
from shared.configuration.file import ClassicTarget, Scoring, Training
from shared.configuration.kinds import Address
from shared.deciding import Deciding
from shared.errors import Busy, DataChanged, RecordChanged, ServiceRefused, ServiceUnavailable
from shared.fleets import Fleet, Pipelines
from shared.gate.judging import Gate
from shared.gate.rules import parse_rule
from shared.jobs import Dataset, Model
from shared.joining import joined
from shared.judging import Judging
from shared.pipelines import Arriving as Arriving_
from shared.pipelines import Pipeline
from shared.ports import (
    BesJob,
    BlobReference,
    Document,
    Finished,
    Lease,
    NotStarted,
    Wait,
)
from shared.promotion import Promotion
from shared.records import Records
from shared.retraining import Retraining
from shared.rolling_out import RollingOut
from shared.rollout_records import RolloutRecords
from shared.rows import Rows
from shared.secret import Secret

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
    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.versions: dict[str, int] = {}
        self.leased: set[str] = set()
        self.abandoned: set[str] = set()  #: leases whose holder died
        self.reads = 0
        self.die_after: int | None = None  #: writes until the process dies, after the last of them took effect
        self.death: type[BaseException] = KeyboardInterrupt
        self.lease_lost = False

    def read(self, name: str) -> Document | None:
        self.reads += 1
        content = self.contents.get(name)
        return (
            None
            if content is None
            else Document(content, str(self.versions[name]), name in self.abandoned | self.leased)
        )

    def create(self, name: str, content: bytes) -> str | None:
        return None if name in self.contents else self._write(name, content)

    def replace(self, name: str, content: bytes, etag: str, lease: Lease | None = None) -> str:  # noqa: ARG002
        if self.contents.get(name) is None or str(self.versions[name]) != etag:
            raise RecordChanged(name)
        return self._write(name, content)

    def delete(self, name: str) -> None:
        self.contents.pop(name, None)
        self._live()

    def names(self, prefix: str) -> Iterator[str]:
        return iter(sorted(name for name in self.contents if name.startswith(prefix)))

    @contextmanager
    def lease(self, name: str) -> Iterator[Lease]:
        if name in self.leased:
            raise Busy(name)
        self.leased.add(name)
        self.abandoned.discard(name)
        try:
            yield FakeLease(self)
        except KeyboardInterrupt:
            self.abandoned.add(name)
            raise
        finally:
            self.leased.remove(name)

    def _write(self, name: str, content: bytes) -> str:
        self.contents[name] = content
        self.versions[name] = self.versions.get(name, 0) + 1
        self._live()
        return str(self.versions[name])

    def _live(self) -> None:
        if self.die_after is not None:
            self.die_after -= 1
            if self.die_after < 0:
                raise self.death


class FakeLease:
    id = "lease"

    def __init__(self, documents: FakeDocuments) -> None:
        self._documents = documents

    def renew(self) -> None:
        if self._documents.lease_lost:
            raise Busy("the lease is lost")


class FakeModels:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def keep(self, chunks: Iterator[bytes]) -> Model:
        content = b"".join(chunks)
        model = Model(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        self.kept[model.sha256] = content
        return model

    def link(self, model: Model) -> BlobReference:
        return BlobReference("https://store.example/", f"models/{model.name}")

    def find(self, sha256: str) -> list[Model]:
        return [Model(sha256=each, size=len(self.kept[each])) for each in sorted(self.kept) if each.startswith(sha256)]

    def identify(self, reference: BlobReference) -> Model | None:
        for sha256, content in self.kept.items():
            model = Model(sha256=sha256, size=len(content))
            if self.link(model).address == reference.address:
                return model
        return None


class FakeData:
    """`contents` by path; `joined` by name."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.times: dict[str, datetime] = {}
        self.modified = START
        self.joined: dict[str, bytes] = {}
        self.aside: dict[str, bytes] = {}

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

    def listed(self, prefix: str = "") -> Iterator[Dataset]:
        for path in sorted(self.contents):
            if path.startswith(prefix) and (found := self.find(path)):
                yield found

    def read(self, dataset: Dataset) -> Iterator[bytes]:
        if self.find(dataset.path) != dataset:
            raise DataChanged(f"{dataset.path} was overwritten")
        yield self.contents[dataset.path]

    def join(self, name: str, parts: Sequence[Dataset], after: str | None) -> None:
        former = [(after, iter([self.joined[after]]))] if after else []
        self.joined[name] = b"".join(joined([*former, *((part.path, self.read(part)) for part in parts)]))

    def link(self, dataset: Dataset, seconds: float) -> BlobReference:  # noqa: ARG002
        return BlobReference("https://store.example/", f"training-data/{dataset.path}")

    def link_joined(self, name: str, seconds: float) -> BlobReference:  # noqa: ARG002
        return BlobReference("https://store.example/", f"batches/{name}")

    def set_aside(self, dataset: Dataset, folder: str, report: bytes, reason: bytes) -> str:  # noqa: ARG002
        self.aside[folder] = report
        return f"quarantine/{folder}"


class FakeReader:
    """Every model's content is its blob's name; every evaluation is the one given."""

    def __init__(self) -> None:
        self.evaluation = EVALUATION

    def read(self, reference: BlobReference) -> Iterator[bytes]:
        yield self.evaluation if reference.relative.endswith(".csv") else reference.relative.encode()


class FakeService:
    """A training service. `lose` names the calls whose answer is lost after they took effect."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.data: list[str] = []
        self.parameters: dict[str, str] = {}
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.lose: list[str] = []
        self.fails: list[Exception] = []
        self.answer: BesJob | None = None

    def submit(self, data: BlobReference, parameters: Mapping[str, str]) -> str:
        self._fail()
        self.data.append(data.relative)
        self.parameters = dict(parameters)
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
    take effect and whose answer is lost; `refuses`: an error instead of an update.
    """

    def __init__(self, clock: Clock, models: FakeModels, deployed: BlobReference) -> None:
        self._clock, self._models = clock, models
        self.named = self.serves = deployed
        self._next: tuple[datetime, BlobReference] | None = None
        self.late, self.deaf, self.loses = 0.0, 0, 0
        self.refuses: list[Exception] = []
        self.updates = 0

    def model(self) -> BlobReference:
        return self.named

    def update(self, model: BlobReference, wait: Wait) -> None:  # noqa: ARG002
        self.updates += 1
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
        if self._next and self._next[0] <= self._clock.now():
            self.serves, self._next = self._next[1], None
        kept = self._models.identify(self.serves)
        content = self._models.kept[kept.sha256].decode() if kept else self.serves.relative
        return Rows(["Scored Labels"], [[content] for _ in rows.values])


class World:
    """The flows over fakes: one pipeline `income` with two targets."""

    def __init__(self, rules: tuple[str, ...] = ("AUC >= 0.9",), baseline: float = 0.9) -> None:
        self.clock, self.documents, self.models = Clock(), FakeDocuments(), FakeModels()
        self.data, self.reader = FakeData(), FakeReader()
        self.service, self.scoring = FakeService(), FakeService()
        self.records, self.arrivals = Records(self.documents), ArrivalRecords(self.documents)
        self.answers = AnswerRecords(self.documents)
        deployed = BlobReference("https://other.example/", "first.ilearner")
        self.endpoints = {name: FakeEndpoint(self.clock, self.models, deployed) for name in ("one", "two")}
        self.pipelines = {"income": _pipeline(rules, baseline)}
        self.fleets: dict[str, Fleet] = {}
        self.of_members: dict[str, dict[str, FakeEndpoint]] = {}

    def all_pipelines(self) -> Pipelines:
        return Pipelines(self.pipelines, self.fleets, self.arrivals.known)

    def endpoints_of(self, pipeline: Pipeline) -> Mapping[str, FakeEndpoint]:
        """Return the pipeline's endpoints; a member of a fleet has one of its own."""
        if pipeline.fleet is None:
            return self.endpoints
        deployed = BlobReference("https://other.example/", "first.ilearner")
        made = {target.name: FakeEndpoint(self.clock, self.models, deployed) for target in pipeline.targets}
        return self.of_members.setdefault(pipeline.name, made)

    @property
    def rolling_out(self) -> RollingOut:
        return RollingOut(
            pipelines=self.all_pipelines(),
            records=self.records,
            rollouts=RolloutRecords(self.documents),
            now=self.clock.now,
        )

    @property
    def arriving(self) -> Arriving:
        return Arriving(
            pipelines=self.all_pipelines(),
            arrivals=self.arrivals,
            records=self.records,
            data=self.data,
            now=self.clock.now,
        )

    @property
    def retraining(self) -> Retraining:
        return Retraining(
            pipelines=self.all_pipelines(),
            records=self.records,
            data=self.data,
            judging=self.judging,
            service=lambda _: self.service,
            now=self.clock.now,
        )

    @property
    def judging(self) -> Judging:
        return Judging(
            records=self.records,
            answers=self.answers,
            data=self.data,
            models=self.models,
            reader=lambda _: self.reader,
            endpoints=self.endpoints_of,
            scoring=lambda _: self.scoring,
            now=self.clock.now,
        )

    @property
    def deciding(self) -> Deciding:
        return Deciding(
            pipelines=self.all_pipelines(), records=self.records, service=lambda _: self.service, now=self.clock.now
        )

    @property
    def promotion(self) -> Promotion:
        return Promotion(
            pipelines=self.all_pipelines(),
            records=self.records,
            answers=self.answers,
            models=self.models,
            reader=lambda _: self.reader,
            endpoints=self.endpoints_of,
            now=self.clock.now,
            sleep=self.clock.sleep,
        )

    def put(self, name: str, content: bytes | None = None) -> str:
        """Put a data set there without an event; return its path. Unless given, the content is like no other."""
        path = f"income/{name}"
        self.clock.sleep(1)
        self.data.put(path, f"age\n{len(self.data.contents) + 1}\n".encode() if content is None else content)
        return path

    def drop(self, name: str, content: bytes | None = None) -> str:
        """Drop a data set, take its event and take it up; return the job's id."""
        self.arriving.see(self.put(name, content))
        [job_id] = self.take_up()
        return job_id

    def take_up(self) -> list[str]:
        """Do what the timer does; return the ids of the new jobs."""
        return [self.retraining.start(job).id for job in self.arriving.take_up()]

    def run(self, until: Callable[[], bool], minutes: int = 30) -> None:
        """Poll every 15 seconds and deliver each message, again after 30 seconds when it fails."""
        end = self.clock.now() + timedelta(minutes=minutes)
        while not until() and self.clock.now() < end:
            self.take_up()
            for request in self.retraining.poll():
                for _ in range(5):
                    try:
                        self.promotion.carry_out(request, f"message of {request.job}")
                        break
                    except ServiceUnavailable:
                        self.clock.sleep(30)
            self.clock.sleep(15)

    def accepted(self, name: str = "a.csv") -> str:
        """Return a job that the gate has passed."""
        job_id = self.drop(name)
        self.retraining.poll()
        return job_id


def refused() -> ServiceRefused:
    return ServiceRefused("PATCH answered 400", 400, ["BadArgument"])


def _pipeline(rules: tuple[str, ...], baseline: float) -> Pipeline:
    address, key = Address("https://studio.example"), Secret("key")
    scoring = Scoring(address=address, key=key)
    return Pipeline(
        name="income",
        blobs="income/*.csv",
        checks=Checks(columns=(Column(name="age"),)),
        arriving=Arriving_(settle=0.0, jobs=10),
        training=Training(address=address, key=key, model="output1", evaluation="output2"),
        gate=Gate(rules=[parse_rule(rule) for rule in rules], baseline={"AUC": baseline}),
        targets=[
            ClassicTarget(name=name, address=address, key=key, resource="r", scoring=scoring) for name in ("one", "two")
        ],
        rows=Rows(["age"], [["39"]]),
        proof_timeout=180.0,
    )
