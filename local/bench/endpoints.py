"""Online endpoints of the local workspace beside `mlflow models serve` and Azure ML's own server: the same rows."""

from __future__ import annotations

import gc
import math
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import requests
import skops.io
from azure.storage.blob import BlobServiceClient
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from local.azurite import azurite
from local.bench import deployments, inference_server, mlflow
from local.bench.load import Client, Scoring, Target, throughput, timed
from local.bench.rows import Row, ms, p99
from local.children import NotStarted, python_child
from local.datasets import breast_cancer

#: enough calls for a p99 that rests on twenty of them, not on the first ones of each turn
TURNS, IN_A_TURN = 10, 200
CLIENTS, SECONDS = 16, 6.0
#: calls that are counted, who makes them, and the percents of `blue` that they find
CALLS, CALLERS, SHARES = 10_000, 4, (90, 50, 10, 75, 0)
DEPLOYMENT = "azureml-model-deployment"


@dataclass(frozen=True)
class Bench:
    """A workspace with the endpoint `bench`, whose deployments `blue` and `green` serve the same model."""

    address: str
    workspace: str
    token: str
    authority: str
    started: float  #: seconds that the server took to start

    @property
    def deployment(self) -> dict[str, Any]:
        """The properties of a deployment of the model."""
        return {
            "endpointComputeType": "Managed",
            "model": f"{self.workspace}/models/bench/versions/1",
            "requestSettings": {"maxConcurrentRequestsPerInstance": CLIENTS, "requestTimeout": "PT60S"},
        }

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        address = f"{self.address}{self.workspace}/{path}?api-version=2025-12-01"
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.request(method, address, json=body, headers=headers, verify=self.authority, timeout=300)
        answer.raise_for_status()
        return answer

    def put(self, path: str, **properties: Any) -> None:
        """Make a resource, and wait until its operation has ended."""
        body = {"properties": properties, "identity": {"type": "SystemAssigned"}}
        operation = self.call("PUT", path, body).headers.get("azure-asyncoperation")
        while operation and (status := self.status(operation)) != "Succeeded":
            assert status == "InProgress", status
            time.sleep(0.1)

    def status(self, operation: str) -> str:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.get(operation, headers=headers, verify=self.authority, timeout=300)
        answer.raise_for_status()
        return str(answer.json()["status"])

    def traffic(self, **percents: int) -> None:
        self.put("onlineEndpoints/bench", authMode="Key", traffic=percents)

    def target(self, body: bytes) -> Target:
        key = self.call("POST", "onlineEndpoints/bench/listKeys").json()["primaryKey"]
        headers = {"Authorization": f"Bearer {key}"}
        return Target(f"{self.address}/score/bench", body, _labels, headers, self.authority)


def _labels(answer: Any) -> list[str]:
    return [str(label) for label in answer]


def measure(folder: Path) -> Iterator[Row]:
    header, rows = breast_cancer()
    cells = [[float(cell) for cell in row[:-1]] for row in rows[:400]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(cells, [row[-1] for row in rows[:400]])
    with ExitStack() as running:
        bench = running.enter_context(workspace(folder / "workspace", model))
        yield "workspace started", ms(bench.started), "", ""
        body = {"input_data": {"columns": header[:-1], "index": [0], "data": [cells[0]]}}
        target = bench.target(msgspec.json.encode(body))
        others: dict[str, Target] = {}
        for name, serving in (
            ("mlflow models serve", mlflow.serving(folder / "mlflow", model, header[:-1], cells[0])),
            ("azureml-inference-server-http", inference_server.serving(folder / "server", model, cells[0])),
        ):
            try:
                others[name] = running.enter_context(serving)
            except NotStarted as error:
                yield name, "", str(error), ""
        direct = partial(deployments.Direct, folder / "workspace" / "aml", target.body)
        yield from one_row(target, others, direct())
        yield from many_clients(target, others, direct)
        yield from shifted(bench, target)
        yield from deployments.many(bench, folder / "workspace" / "aml", bench.deployment)


@contextmanager
def workspace(folder: Path, model: Any) -> Iterator[Bench]:
    """Run a workspace that serves the model."""
    folder.mkdir(parents=True)
    file, data = folder / "model.skops", folder / "aml"
    skops.io.dump(model, file)
    with azurite(folder / "azurite") as storage:
        begun = time.perf_counter()
        serve = ["aml", "serve", "--data", str(data), "--deploying", "0"]
        with python_child(serve, {"AML_STORAGE": storage.connection_string}) as child:
            bench = _bench(dict(child.said), data, time.perf_counter() - begun)
            container = bench.call("GET", "datastores/workspaceblobstore").json()["properties"]["containerName"]
            with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
                blobs.create_container(container).upload_blob("models/model.skops", file.read_bytes())
            bench.put("models/bench/versions/1", modelUri="azureml://datastores/workspaceblobstore/paths/models/")
            bench.traffic()
            for name in ("blue", "green"):
                bench.put(f"onlineEndpoints/bench/deployments/{name}", **bench.deployment)
            bench.traffic(blue=100)
            yield bench


def _bench(said: dict[str, Any], data: Path, started: float) -> Bench:
    from aml.identity import tokens
    from aml.state.records import IDENTITY, Identity, Records

    identity = Records(data).find(Identity, IDENTITY)
    assert identity is not None, "the server has made it"
    token = tokens.issue(identity, "https://management.azure.com")[0]
    return Bench(said["address"], said["workspace"], token, said["authority"], started)


def one_row(target: Target, others: Mapping[str, Target], direct: Scoring) -> Iterator[Row]:
    """Score a row in turns, here and there; the model's own time is in the answers."""
    ours, theirs = Client(target), {name: Client(each) for name, each in others.items()}
    for name, each in theirs.items():
        assert each.labels() == ours.labels(), f"{name} scores the same row with the same model"
    times: dict[str, list[float]] = {name: [] for name in ("ours", "model", "direct", *theirs)}
    gc.collect()
    gc.freeze()  # collections of this process would be measured as time of the servers
    for _ in range(TURNS):
        for _ in range(IN_A_TURN):
            times["ours"].append(timed(ours.score))
            times["model"].append(float(ours.answered["ms-azureml-model-time"]) / 1000)
        times["direct"] += [timed(direct.score) for _ in range(IN_A_TURN)]
        for name, each in theirs.items():
            times[name] += each.times(IN_A_TURN)
    middle, slow = ({name: count(found) for name, found in times.items()} for count in (statistics.median, p99))
    alone = "without gateway {}, the model alone {}"
    for what, found in (("median", middle), ("p99", slow)):
        yield f"endpoint, one row, {what}", ms(found["ours"]), alone.format(ms(found["direct"]), ms(found["model"])), ""
        for name in theirs:
            yield "", ms(found["ours"]), f"{name} {ms(found[name])}", f"{found['ours'] / found[name]:.2f}"


def many_clients(target: Target, others: Mapping[str, Target], direct: Callable[[], Scoring]) -> Iterator[Row]:
    here, alone = throughput(partial(Client, target), CLIENTS, SECONDS), throughput(direct, CLIENTS, SECONDS)
    yield (
        f"endpoint, one row, {CLIENTS} clients",
        f"{here:.0f}/s",
        f"without gateway {alone:.0f}/s",
        f"{here / alone:.2f}",
    )
    for name, other in others.items():
        there = throughput(partial(Client, other), CLIENTS, SECONDS)
        yield "", f"{here:.0f}/s", f"{name} {there:.0f}/s", f"{here / there:.2f}"


class Calls:
    """Calls without pause, counted by the deployment that answered and by the share of `blue` that was in force."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._over = threading.Event()
        self._counting = threading.Lock()
        self.share: int | None = None  #: the percent of `blue`; None while it changes
        self.counted: dict[int | None, Counter[str]] = defaultdict(Counter)
        self.failures: list[str] = []

    def run(self) -> None:
        client = Client(self._target)
        while not self._over.is_set():
            before = self.share
            try:
                client.score()  # raises for an answer that is not 200
                answered = client.answered[DEPLOYMENT]
            except Exception as error:
                client, answered = Client(self._target), ""
                self.failures.append(f"{type(error).__name__}: {error}")
            with self._counting:
                self.counted[before if before == self.share else None][answered] += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.run) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()


def shifted(bench: Bench, target: Target) -> Iterator[Row]:
    """Change the traffic under load, and count how the calls after each change split."""
    calls = Calls(target)
    with calls.going_on():
        for share in SHARES:
            calls.share = None
            bench.traffic(blue=share, green=100 - share)
            calls.share = share
            while calls.counted[share].total() < CALLS / len(SHARES):
                time.sleep(0.01)
    made = sum(each.total() for each in calls.counted.values())
    failed = f"{len(calls.failures)} failed {calls.failures[:1] or ''}"
    yield f"{len(SHARES)} traffic shifts under load", f"{made} calls", failed, ""
    splits = [(share, calls.counted[share]) for share in SHARES]
    yield (
        f"{sum(each.total() for _, each in splits)} calls split",
        ", ".join(f"{each['blue']}/{each['green']}" for _, each in splits),
        ", ".join(f"{share}/{100 - share}" for share, _ in splits),
        "as ordered" if all(is_as_ordered(share, each) for share, each in splits) else "NOT as ordered",
    )


def is_as_ordered(share: int, counted: Counter[str]) -> bool:
    """Return whether the calls of `blue` are within three standard deviations of a random split by percent."""
    made, part = counted.total(), share / 100
    return abs(counted["blue"] - made * part) <= 3 * math.sqrt(made * part * (1 - part))
