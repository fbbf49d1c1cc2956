"""Online endpoints of the local workspace beside `mlflow models serve` and Azure ML's own server: the same rows."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections import Counter
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

TURNS, IN_A_TURN = 10, 50
CLIENTS, SECONDS = 16, 6.0
CALLS, SHIFTS = 10_000, (50, 10, 90)
DEPLOYMENT = "azureml-model-deployment"


@dataclass(frozen=True)
class Bench:
    """A workspace with the endpoint `bench`, whose deployments `blue` and `green` serve the same model."""

    address: str
    workspace: str
    token: str
    authority: str

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
            print(f"the server started in {ms(time.perf_counter() - begun)}", flush=True)
            bench = _bench(dict(child.said), data)
            container = bench.call("GET", "datastores/workspaceblobstore").json()["properties"]["containerName"]
            with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
                blobs.create_container(container).upload_blob("models/model.skops", file.read_bytes())
            bench.put("models/bench/versions/1", modelUri="azureml://datastores/workspaceblobstore/paths/models/")
            bench.traffic()
            for name in ("blue", "green"):
                bench.put(f"onlineEndpoints/bench/deployments/{name}", **bench.deployment)
            bench.traffic(blue=100)
            yield bench


def _bench(said: dict[str, Any], data: Path) -> Bench:
    from aml.identity import tokens
    from aml.state.records import IDENTITY, Identity, Records

    identity = Records(data).find(Identity, IDENTITY)
    assert identity is not None, "the server has made it"
    token = tokens.issue(identity, "https://management.azure.com")[0]
    return Bench(said["address"], said["workspace"], token, said["authority"])


def one_row(target: Target, others: Mapping[str, Target], direct: Scoring) -> Iterator[Row]:
    """Score a row in turns, here and there; the model's own time is in the answers."""
    ours, theirs = Client(target), {name: Client(each) for name, each in others.items()}
    for name, each in theirs.items():
        assert each.labels() == ours.labels(), f"{name} scores the same row with the same model"
    times: dict[str, list[float]] = {name: [] for name in ("ours", "model", "direct", *theirs)}
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


def shifted(bench: Bench, target: Target) -> Iterator[Row]:
    """Call without pause while the traffic changes; then count how the calls split."""
    over = threading.Event()
    calls: Counter[str] = Counter()

    def call() -> None:
        client = Client(target)
        while not over.is_set():
            client.score()  # raises for an answer that is not 200
            calls[client.answered[DEPLOYMENT]] += 1

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for part in SHIFTS:
        bench.traffic(blue=part, green=100 - part)
    over.set()
    for thread in threads:
        thread.join()
    yield "traffic shifts under load", str(len(SHIFTS)), f"of {calls.total()} calls, 0 failed", ""
    client, split = Client(target), Counter[str]()
    for _ in range(CALLS):
        client.score()
        split[client.answered[DEPLOYMENT]] += 1
    yield f"{CALLS} calls at 90/10", json.dumps(dict(split)), "", ""
