"""The app: start-up, package size, latency, storage operations, memory."""

from __future__ import annotations

import multiprocessing
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import requests
from azure.storage.blob import BlobBlock

from local.azurite import Azurite, azurite
from local.bench.calls import Call, recorded
from local.bench.rows import Row, ms
from local.children import ROOT
from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace, workplace
from shared.app import App
from shared.base.settings import Settings
from shared.domain.fleets import Pipelines
from shared.domain.jobs import JobState, RetrainingJob
from shared.domain.ports import Finished

GIB = 1 << 30
BLOCK = 64 << 20
STARTS = 9
RETRAININGS = 24  #: with twelve, two runs of the same code differed by a tenth and more
VERSION = {"api-version": "2.0"}


def measure(folder: Path, gib: float) -> Iterator[Row]:
    """`gib` is the size of the large blob."""
    yield from import_time()
    yield from latencies(folder)
    yield from memory(folder, gib)


def import_time() -> Iterator[Row]:
    """Import in fresh processes, taken in turns; only the import is timed."""
    code = "import time; t = time.perf_counter(); import {0}; print(time.perf_counter() - t)"
    taken: dict[str, list[float]] = {"function_app": [], "azure.functions": []}
    for _ in range(STARTS):
        for module, times in taken.items():
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code.format(module)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            times.append(float(done.stdout))
    ours, theirs = (statistics.median(times) for times in taken.values())
    yield "import function_app", ms(ours), f"azure.functions alone {ms(theirs)}", f"{ours / theirs:.2f}"


def latencies(folder: Path) -> Iterator[Row]:
    """Compare the flow's steps with the HTTP calls to storage and services that no flow can do without."""
    with azurite() as storage, workplace(storage, folder / "latency") as place:
        app = app_that_waits_for_nothing(place.settings)
        bare = Bare(place, app)
        started, promoted, bare_start, bare_promotion = [], [], [], []
        for number in range(RETRAININGS + 1):
            rows = place.rows[: 300 + 8 * number]
            path, other = (place.drop(f"{number}-{each}.csv", as_csv(place.header, rows[each:])) for each in (0, 1))
            begun = time.perf_counter()
            job = taken_up(app, path)
            started.append(time.perf_counter() - begun)
            wait_for_bes(app, str(job.bes_job))
            begun = time.perf_counter()
            take_to_promotion(app)
            promoted.append(time.perf_counter() - begun)
            assert_promoted(app, job)
            # On other data: a model that the services have loaded before is live sooner.
            begun = time.perf_counter()
            bes_job = bare.start(other)
            bare_start.append(time.perf_counter() - begun)
            wait_for_bes(app, bes_job)
            begun = time.perf_counter()
            bare.promote(bes_job)
            bare_promotion.append(time.perf_counter() - begun)
            bare.promote(str(job.bes_job))  # what the app's records say is live
        # Counted in its own round: to record a call takes longer than some calls.
        path = place.drop("counted.csv", as_csv(place.header, place.rows[:290]))
        operations = Counter(call.method for call in retraining(app, storage, path) if call.to == "storage")
    # The first round opens connections and loads libraries; it is not counted.
    for name, ours, alone in (
        ("blob trigger's call → BES job started", started, bare_start),
        ("“Finished” seen → PROMOTED", promoted, bare_promotion),
    ):
        here, there = statistics.median(ours[1:]), statistics.median(alone[1:])
        yield name, ms(here), f"bare HTTP calls {ms(there)}", f"{here / there:.2f}"
    counts = ", ".join(f"{count} {method}" for method, count in operations.most_common())
    yield "storage operations per retraining", f"{operations.total()}", counts, ""


class Bare:
    """The calls to the services, and to the data and model blobs, as a script without records would make them."""

    def __init__(self, place: Workplace, app: App) -> None:
        self._place, self._settings, self._app = place, place.settings, app
        self._pipeline, self._models = app.pipelines[PIPELINE], app.models
        self._session = requests.Session()
        self._session.trust_env = False

    def start(self, path: str) -> str:
        """Start a training on the file; return its BES job."""
        link = self._app.data.link(path, 3600)
        sas = link.sas.reveal() if link.sas else ""
        data = f"{link.address}{sas}"
        self._session.head(data).raise_for_status()
        self._session.get(data, headers={"Range": "bytes=0-262143"}).raise_for_status()
        reference = {
            "BaseLocation": link.base,
            "RelativeLocation": link.relative,
            "SasBlobToken": sas,
        }
        base, key = self._settings["BREAST_CANCER_TRAINING_ADDRESS"], self._settings["BREAST_CANCER_TRAINING_KEY"]
        job = str(self._call("POST", f"{base}/jobs", key, {"Inputs": {"input1": reference}}).json())
        self._call("POST", f"{base}/jobs/{job}/start", key)
        return job

    def promote(self, bes_job: str) -> None:
        """Read the results, keep the model, then for each target: score, read, update, read, score."""
        settings = self._settings
        base, key = settings["BREAST_CANCER_TRAINING_ADDRESS"], settings["BREAST_CANCER_TRAINING_KEY"]
        results = self._call("GET", f"{base}/jobs/{bes_job}", key).json()["Results"]
        contents = []
        for port in ("output1", "output2"):
            blob = results[port]
            answer = self._session.get(f"{blob['BaseLocation']}{blob['RelativeLocation']}{blob['SasBlobToken']}")
            answer.raise_for_status()
            contents.append(answer.content)
        model = self._models.link(self._models.keep(iter([contents[0]])))
        sas = model.sas.reveal() if model.sas else ""
        location = {"BaseLocation": model.base, "RelativeLocation": model.relative, "SasBlobToken": sas}
        name, classic = self._place.classic.models[0], settings["BREAST_CANCER_CLASSIC_ADDRESS"]
        key = settings["BREAST_CANCER_CLASSIC_KEY"]
        self._score(settings["BREAST_CANCER_CLASSIC_SCORING_ADDRESS"], key)
        self._call("GET", classic, key)
        self._call("PATCH", classic, key, {"Resources": [{"Name": name, "Location": location}]})
        self._call("GET", classic, key)
        self._score(settings["BREAST_CANCER_CLASSIC_SCORING_ADDRESS"], key)
        key, token = settings["BREAST_CANCER_NEW_KEY"], settings["ARM_TOKEN"]
        new, version = f"{settings['ARM_ADDRESS']}{settings['BREAST_CANCER_NEW_ID']}", {"api-version": "2017-01-01"}
        self._score(settings["BREAST_CANCER_NEW_SCORING_ADDRESS"], key)
        definition = self._call("GET", new, token, parameters=version).json()
        for asset in definition["properties"]["assets"].values():
            if asset["name"] == name:
                asset["locationInfo"]["uri"] = model.address
        accepted = self._call("PATCH", new, token, definition, version)
        self._call("GET", accepted.headers["Azure-AsyncOperation"], token, parameters={})
        self._call("GET", new, token, parameters=version)
        self._score(settings["BREAST_CANCER_NEW_SCORING_ADDRESS"], key)

    def _score(self, base: str, key: str) -> None:
        rows = {"ColumnNames": self._pipeline.rows.columns, "Values": self._pipeline.rows.values}
        self._call("POST", f"{base}/execute", key, {"Inputs": {"input1": rows}}, {**VERSION, "details": "true"})

    def _call(
        self, method: str, url: str, key: str, body: Any = None, parameters: Mapping[str, str] = VERSION
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        answer = self._session.request(method, url, params=parameters, json=body, headers=headers)
        answer.raise_for_status()
        return answer


def memory(folder: Path, gib: float) -> Iterator[Row]:
    """Start a retraining on a large blob in its own process; report how far its peak rose."""
    size = int(gib * GIB)
    # No worker: the job stays queued, as nothing is to be learnt from 2 GiB of the same rows here.
    with azurite(folder / "azurite") as storage, workplace(storage, folder / "memory", "--processes", "0") as place:
        small = place.drop("small.csv", as_csv(place.header, place.rows[:100]))
        large = drop_large(place, size)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_start_both, args=(place.settings, small, large, theirs))
        process.start()
        theirs.close()  # so that a process that dies is an end of the pipe, and not waited for
        risen, peak = ours.recv()
        process.join()
    yield (
        f"peak memory for a {gib:g} GiB blob",
        f"+{risen / (1 << 20):.1f} MiB",
        f"process {peak / (1 << 20):.0f} MiB",
        f"{risen / size:.4f}",
    )


def _start_both(settings: Mapping[str, str], small: str, large: str, pipe: Any) -> None:
    pipe.send(peaks(settings, small, large))


def peaks(settings: Mapping[str, str], small: str, large: str) -> tuple[int, int]:
    """Start a job on each file; return how far the peak of memory rose with the second one, and the peak."""
    app = app_that_waits_for_nothing(settings)
    reached = []
    for path in (small, large):
        job = taken_up(app, path)
        # It is written as training by the poll, which sees by the state of its BES job that it was started.
        assert job.state is JobState.SUBMITTED and job.bes_job, job
        reached.append(peak_of_process())
    return reached[1] - reached[0], reached[1]


def app_that_waits_for_nothing(settings: Mapping[str, str], targets: int = 2) -> App:
    """Return the app with data that need not settle: how long that takes is configured."""
    app = App(Settings(settings))
    pipeline = app.pipelines[PIPELINE]
    at_once = msgspec.structs.replace(pipeline.arriving, settle=0.0)
    pipeline = msgspec.structs.replace(pipeline, arriving=at_once, targets=pipeline.targets[:targets])
    app.__dict__["pipelines"] = Pipelines({PIPELINE: pipeline})
    return app


def taken_up(app: App, path: str) -> RetrainingJob:
    """Take a blob's event and start its job, as the blob trigger and the timer do."""
    app.flows.intake.see(path)
    started: list[RetrainingJob] = []
    app.flows.intake.take_up(lambda job: started.append(app.flows.training.start(job)))
    [job] = started
    return job


def peak_of_process() -> int:
    """Return the process's peak memory in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands a parent's ru_maxrss on to its children, but not this figure
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    raise SystemExit("the memory benchmark needs Linux or macOS")


def drop_large(place: Workplace, size: int) -> str:
    path = f"{PIPELINE}/large.csv"
    blob = place.blobs.get_blob_client(place.container, path)
    rows = as_csv(place.header, place.rows)
    header, _, body = rows.partition(b"\n")
    block = body * (BLOCK // len(body))  # whole rows: the data are checked to the last
    blocks = [BlobBlock(f"{number:06}") for number in range(max(1, size // BLOCK))]
    for number, each in enumerate(blocks):
        blob.stage_block(each.id, header + b"\n" + block if number == 0 else block)
    blob.commit_block_list(blocks)
    return path


def retraining(app: App, storage: Azurite, path: str) -> list[Call]:
    """Take the dropped file to its promotion; return the calls, without those of the wait for its BES job."""
    with recorded(storage.blob_address) as calls:
        job = taken_up(app, path)
    wait_for_bes(app, str(job.bes_job))
    with recorded(storage.blob_address) as more:
        take_to_promotion(app)
    assert_promoted(app, job)
    return [*calls, *more]


def wait_for_bes(app: App, bes_job: str) -> None:
    service = app.training_service(app.pipelines[PIPELINE])
    while not isinstance(service.status(bes_job), Finished):
        time.sleep(0.02)


def take_to_promotion(app: App) -> None:
    for request in app.flows.training.poll():
        app.flows.requests.carry_out(request, "bench")


def assert_promoted(app: App, job: RetrainingJob) -> None:
    ended = app.records.jobs.require(job.id).record
    assert ended.state is JobState.PROMOTED, ended.reason
