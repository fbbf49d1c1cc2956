"""The local Studio beside bare scikit-learn and `mlflow models serve`: the same model, the same rows."""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import requests
from azure.storage.blob import BlobServiceClient

from local.azurite import Azurite, azurite
from local.bench import mlflow
from local.bench.load import Client, Target, throughput, timed
from local.bench.rows import Row, ms, p99
from local.children import NotStarted
from local.datasets import as_csv, breast_cancer
from local.studio import RunningStudio, running_studio
from studio.experiments.loading import load_experiment
from studio.learning.ilearner import TrainedModel, pack
from studio.publishing import PredictiveExperiment, Published
from studio.state.records import Reference, Service

VERSION = {"api-version": "2.0"}
TURNS, IN_A_TURN = 10, 50
CLIENTS, SECONDS = 16, 6.0
IDLE = 3000
LARGE, SMALL = 100_000, 500
ENDPOINTS = 1000


@dataclass(frozen=True)
class Bench:
    """A running Studio with a predictive experiment, its endpoint without throttling, and its retraining service."""

    storage: Azurite
    running: RunningStudio
    predictive: PredictiveExperiment
    endpoint: Published
    training: Published
    header: list[str]
    rows: list[list[str]]

    @property
    def model(self) -> TrainedModel:
        return self.running.studio.models.load(self.predictive.scorers[0].resource.sha256)

    @property
    def service(self) -> Service:
        return next(each for each in self.running.studio.records.all(Service) if "Predictive" in each.name)

    @property
    def values(self) -> list[float]:
        """The features of the row that is scored, which the model has not seen."""
        return [float(cell) for cell in self.rows[-1][:-1]]

    def target(self, endpoint: Published) -> Target:
        columns = self.header[:-1]
        return Target(
            f"{self.running.address}{endpoint.path}/execute?api-version=2.0",
            msgspec.json.encode({"Inputs": {"input1": {"ColumnNames": columns, "Values": [self.values]}}}),
            lambda answer: [row[len(columns)] for row in answer["Results"]["output1"]["value"]["Values"]],
            {"Authorization": f"Bearer {endpoint.key}"},
        )


def measure(folder: Path) -> Iterator[Row]:
    with ExitStack() as running:
        storage = running.enter_context(azurite(folder / "azurite"))
        studio = running.enter_context(running_studio(folder / "studio", storage.connection_string))
        bench = _published(storage, studio)
        try:
            other = running.enter_context(
                mlflow.serving(folder / "mlflow", bench.model.pipeline, bench.header[:-1], bench.values)
            )
        except NotStarted as error:
            yield "mlflow models serve", "", str(error), ""
            other = None
        yield from one_row(bench, other)
        yield from many_clients(bench, other)
    with azurite(folder / "again") as storage, running_studio(folder / "jobs", storage.connection_string) as studio:
        bench = _published(storage, studio)
        yield from beside_jobs(bench)
        yield from thousand_endpoints(bench)


def _published(storage: Azurite, running: RunningStudio) -> Bench:
    header, rows = breast_cancer()
    studio = running.studio
    predictive = studio.run(load_experiment("breast-cancer"), as_csv(header, rows[:400]))
    studio.deploy_classic(predictive)
    training = studio.deploy_training(predictive.experiment)
    [service] = [each for each in studio.records.all(Service) if "Predictive" in each.name]
    [fast] = studio.add_endpoints(service, ["fast"], throttle_level="High", max_concurrent_calls=200)
    return Bench(storage, running, predictive, fast, training, header, rows)


def one_row(bench: Bench, other: Target | None) -> Iterator[Row]:
    """Score a row in turns: over HTTP here, in this process, over HTTP there."""
    ours, theirs = Client(bench.target(bench.endpoint)), Client(other) if other else None
    pipeline, row = bench.model.pipeline, np.array([bench.values])
    labels = [str(label) for label in pipeline.predict(row)]
    assert ours.labels() == labels, "both score the same row with the same model"
    assert theirs is None or theirs.labels() == labels, "and so does mlflow"
    times: dict[str, list[float]] = {"ours": [], "bare": [], "theirs": []}
    for _ in range(TURNS):
        times["ours"] += ours.times(IN_A_TURN)
        times["bare"] += [timed(lambda: pipeline.predict(row)) for _ in range(IN_A_TURN)]
        times["theirs"] += theirs.times(IN_A_TURN) if theirs else []
    median = {name: statistics.median(taken) for name, taken in times.items() if taken}
    here, bare = median["ours"], median["bare"]
    yield "RRS, one row, median", ms(here), f"bare pipeline.predict {ms(bare)}", f"{here / bare:.2f}"
    if theirs:
        yield "", ms(here), f"mlflow models serve {ms(median['theirs'])}", f"{here / median['theirs']:.2f}"


def many_clients(bench: Bench, other: Target | None) -> Iterator[Row]:
    here = throughput(partial(Client, bench.target(bench.endpoint)), CLIENTS, SECONDS)
    there = throughput(partial(Client, other), CLIENTS, SECONDS) if other else 0.0
    against, ratio = (f"mlflow models serve {there:.0f}/s", f"{here / there:.2f}") if there else ("", "")
    yield f"RRS, one row, {CLIENTS} clients", f"{here:.0f}/s", against, ratio


def beside_jobs(bench: Bench) -> Iterator[Row]:
    """Score rows, and run a small job, while a large job runs."""
    data = {size: _dropped(bench, size) for size in (LARGE, SMALL)}
    target = bench.target(bench.endpoint)
    small = Job(bench, bench.training, data[SMALL])
    small.start().wait()  # loads the libraries
    idle = p99(Client(target).times(IDLE))
    alone = statistics.median(timed(lambda: small.start().wait()) for _ in range(5))
    for name, endpoint in (("scoring", bench.endpoint), ("training", bench.training)):
        large = Job(bench, endpoint, data[LARGE])
        taken: list[float] = []
        while len(taken) < IDLE:  # as many as when idle, over as many jobs as that takes
            taken += Client(target).times_until(Asked(large.start()).ended)
        busy = p99(taken)
        yield f"RRS p99 beside a {LARGE:,}-row {name} job", ms(busy), f"idle {ms(idle)}", f"{busy / idle:.2f}"
        large.start()
        meanwhile = []
        while not large.final:
            meanwhile.append(timed(lambda: small.start().wait()))
        beside = statistics.median(meanwhile)
        yield f"a {SMALL}-row training job meanwhile", ms(beside), f"alone {ms(alone)}", f"{beside / alone:.2f}"


class Job:
    """A BES job that can be run again and again."""

    def __init__(self, bench: Bench, endpoint: Published, data: Mapping[str, str]) -> None:
        self._base, self._data, self._id = f"{bench.running.address}{endpoint.path}/jobs", data, ""
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {endpoint.key}"

    def start(self) -> Job:
        self._id = str(self._call("POST", "", json={"Inputs": {"input1": self._data}}).json())
        self._call("POST", f"/{self._id}/start")
        return self

    @property
    def final(self) -> bool:
        status = self._call("GET", f"/{self._id}").json()
        if status["StatusCode"] in ("Failed", "Cancelled"):
            raise RuntimeError(f"the job is {status['StatusCode']}: {status['Details']}")
        return bool(status["StatusCode"] == "Finished")

    def wait(self) -> None:
        while not self.final:
            time.sleep(0.02)

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self._session.request(method, f"{self._base}{path}", params=VERSION, timeout=120, **options)
        answer.raise_for_status()
        return answer


class Asked:
    """Asks a job for its state a few times a second only, as its own poller would."""

    def __init__(self, job: Job) -> None:
        self._job, self._next = job, 0.0

    def ended(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + 0.25
        return self._job.final


def _dropped(bench: Bench, size: int) -> dict[str, str]:
    """Put a table of that many rows into the storage; return its reference."""
    content = as_csv(bench.header, list(itertools.islice(itertools.cycle(bench.rows), size)))
    client = BlobServiceClient.from_connection_string(bench.storage.connection_string)
    name = f"bench/{size}.csv"
    if not client.get_container_client("bench").exists():
        client.create_container("bench")
    client.get_blob_client("bench", f"{size}.csv").upload_blob(content)
    return {"ConnectionString": bench.storage.connection_string, "RelativeLocation": name}


def thousand_endpoints(bench: Bench) -> Iterator[Row]:
    """Make endpoints with a model each, by the Python API and over HTTP; load those of the first."""
    studio, service = bench.running.studio, bench.service
    models = {f"api{number}": content for number, content in enumerate(_variants(bench.model, 0))}
    added: list[Published] = []
    here = timed(lambda: added.extend(studio.add_endpoints(service, models, models)))
    before = _resident(bench.running.child.pid)
    for each in added:
        Client(bench.target(each)).score()
    after = _resident(bench.running.child.pid)
    locations: list[Reference] = []
    for content in _variants(bench.model, ENDPOINTS):
        locations.append(studio.blobs.own(f"bench/{len(locations)}.ilearner"))
        studio.blobs.write(locations[-1], content)
    there = timed(lambda: _over_http(bench, service, locations))
    yield f"{ENDPOINTS} endpoints, a model each", f"{here:.1f} s by API", f"PUT and PATCH over HTTP {there:.1f} s", ""
    per, size = (after - before) / ENDPOINTS, statistics.mean(map(len, models.values()))
    rose = f"server {before / (1 << 20):.0f} → {after / (1 << 20):.0f} MiB"
    file = f"its .ilearner file {size / 1024:.1f} KiB; {rose}"
    yield "memory per loaded endpoint", f"{per / 1024:.0f} KiB", file, f"{per / size:.1f}"


def _variants(model: TrainedModel, begin: int) -> Iterator[bytes]:
    """Yield models that differ from each other as those of two retrainings do: in their weights."""
    for number in range(begin, begin + ENDPOINTS):
        pipeline = copy.deepcopy(model.pipeline)
        pipeline[-1].intercept_ = pipeline[-1].intercept_ + (number + 1) * 1e-6
        yield pack(TrainedModel(model.manifest, pipeline))


def _over_http(bench: Bench, service: Service, locations: Sequence[Reference]) -> None:
    """Make endpoints as a client does: PUT each, PATCH each with a model that is a blob already."""
    studio, [name] = bench.running.studio, bench.endpoint.models
    base = f"{bench.running.address}/workspaces/{studio.workspace.id}/webservices/{service.id}/endpoints"
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {studio.workspace.primary_token}"
        for number, location in enumerate(locations):
            patch = {"Resources": [{"Name": name, "Location": msgspec.to_builtins(studio.blobs.result(location))}]}
            session.put(f"{base}/http{number}", json={}).raise_for_status()
            session.patch(f"{base}/http{number}", json=patch).raise_for_status()


def _resident(pid: int) -> int:
    """Return the process's memory in bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        raise SystemExit("the memory benchmark of the Studio needs Linux")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
