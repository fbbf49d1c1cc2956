"""Online endpoints of the local workspace beside `mlflow models serve` and Azure ML's own server: the same rows."""

from __future__ import annotations

import gc
import math
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import msgspec
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from local.bench import deployments, inference_server, mlflow
from local.bench.load import Client, Scoring, Target, throughput, timed
from local.bench.rows import Row, ms, p99
from local.bench.workspace import CLIENTS, Bench, workspace
from local.children import NotStarted
from local.datasets import breast_cancer

TURNS, IN_A_TURN = 10, 200  #: the p99 rests on twenty calls
SECONDS = 6.0  #: in which many clients score
#: calls that are counted, who makes them, and the percents of `blue` that they find
CALLS, CALLERS, SHARES = 10_000, 4, (90, 50, 10, 75, 0)
DEPLOYMENT = "azureml-model-deployment"


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


def one_row(target: Target, others: Mapping[str, Target], direct: Scoring) -> Iterator[Row]:
    """Score a row in turns, here and there; the model's own time is in the answers.

    The first call of a turn comes after a pause in which the processors worked for the other servers. It is slower for
    each of them, and is reported apart.
    """
    ours, theirs = Client(target), {name: Client(each) for name, each in others.items()}
    for name, client in theirs.items():
        assert client.labels() == ours.labels(), f"{name} scores the same row with the same model"
    first: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    with uncollected():
        for _ in range(TURNS):
            for name, each in {"ours": ours, "direct": direct, **theirs}.items():
                first[name].append(timed(each.score))
                for _ in range(IN_A_TURN):
                    times[name].append(timed(each.score))
                    if each is ours:
                        times["model"].append(float(ours.answered["ms-azureml-model-time"]) / 1000)
    middle, slow = ({name: count(found) for name, found in times.items()} for count in (statistics.median, p99))
    alone = "without gateway {}, the model alone {}"
    for what, found in (("median", middle), ("p99", slow)):
        yield f"endpoint, one row, {what}", ms(found["ours"]), alone.format(ms(found["direct"]), ms(found["model"])), ""
        yield from _beside(found, theirs)
    after = {name: statistics.median(found) for name, found in first.items()}
    yield "endpoint, one row after a pause", ms(after["ours"]), f"without gateway {ms(after['direct'])}", ""
    yield from _beside(after, theirs)


def _beside(found: Mapping[str, float], theirs: Collection[str]) -> Iterator[Row]:
    for name in theirs:
        yield "", ms(found["ours"]), f"{name} {ms(found[name])}", f"{found['ours'] / found[name]:.2f}"


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage of this process: it would be measured as time of the servers."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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
