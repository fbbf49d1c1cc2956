"""How data arrives, measured: events, sweeps, and hashing, each beside what cannot be done without."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from local.azurite import azurite
from local.bench.app import app_that_waits_for_nothing, drop_large
from local.bench.calls import counted
from local.bench.rows import Row, ms
from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace, workplace
from shared.adapters.storage.accounts import open_store
from shared.adapters.storage.data import BlobTrainingData
from shared.app import App
from shared.domain.fleets import Pipelines
from shared.domain.jobs import Dataset

OLD = 1_000_000  #: blobs of a simulated listing: a real one of that size is slow in Azurite, not here
REAL = 10_000
NEW = 10
EVENTS = 200
WAITING = 1_000
GIB = 1 << 30


def measure(folder: Path, gib: float) -> Iterator[Row]:
    with azurite(folder / "azurite") as storage, workplace(storage, folder / "arrival", "--processes", "0") as place:
        app = app_that_waits_for_nothing(place.settings)
        yield from _events(place, app)
        yield from _simulated_sweep(place, app)
        yield from _hashing(place, app, min(gib, 1.0))
        yield from _taking_up(place, app)
    with azurite() as storage, workplace(storage, folder / "sweep", "--processes", "0") as place:
        yield from _real_sweep(place, app_that_waits_for_nothing(place.settings))


def _events(place: Workplace, app: App) -> Iterator[Row]:
    """Measure the blob trigger's code, one event after another, beside a look-up and a write of the storage client."""
    paths = [place.drop(f"event-{number}.csv", b"a\n1\n") for number in range(EVENTS)]
    app.flows.intake.see(paths[0])  # makes the container
    ours = _seconds(lambda: [app.flows.intake.see(path) for path in paths[1:]])
    records = place.blobs.get_container_client("retraining")

    def bare() -> None:
        for path in paths[1:]:
            place.blobs.get_blob_client(place.container, path).get_blob_properties()
            records.upload_blob(f"bare/{path}", b"{}")

    alone = _seconds(bare)
    count = EVENTS - 1
    yield "blob events", f"{count / ours:.0f}/s", f"bare storage calls {count / alone:.0f}/s", f"{ours / alone:.2f}"


def _taking_up(place: Workplace, app: App) -> Iterator[Row]:
    """Many files that wait for their batch: checked, then looked at once more, beside as many bare reads in turn."""
    pipeline = app.pipelines[PIPELINE]
    waiting = msgspec.structs.replace(pipeline.arriving, batch="marker")
    flow = dataclasses.replace(
        app.flows.intake, pipelines=Pipelines({PIPELINE: msgspec.structs.replace(pipeline, arriving=waiting)})
    )
    first, *others = place.rows[0]
    for number in range(WAITING):
        row = [f"{float(first) + number / 1e5:.5f}", *others]
        flow.see(place.drop(f"waiting-{number}.csv", as_csv(place.header, [row])))
    records = place.blobs.get_container_client("retraining")
    some = [
        name
        for name, _ in zip(records.list_blob_names(name_starts_with="active/arrivals/"), range(EVENTS), strict=False)
    ]
    bare = _seconds(lambda: [records.download_blob(name).readall() for name in some]) / EVENTS
    for what in ("checking", "looking again at"):
        with counted(place.azurite.blob_address) as calls:
            spent = _seconds(flow.take_up)
        alone = bare * calls.total()
        yield (
            f"{what} {WAITING:,} small files",
            f"{ms(spent)}, {calls.total()} storage calls",
            f"as many bare reads in turn {ms(alone)}",
            f"{spent / alone:.2f}",
        )


def _simulated_sweep(place: Workplace, app: App) -> Iterator[Row]:
    """A sweep over a million blobs that are old, and ten that had no event."""
    now = datetime.now(UTC)
    app.records.arrivals.set_swept(place.container, now)
    listing = [
        Dataset(path=f"{PIPELINE}/{number}.csv", etag=f"0x{number:x}", modified=now - timedelta(days=2), size=1)
        for number in range(OLD)
    ]
    new = [msgspec.structs.replace(each, modified=now, etag=f"{each.etag}n") for each in listing[:NEW]]

    class Listed(BlobTrainingData):
        def listed(self, prefix: str = "") -> Iterator[Dataset]:
            return (each for each in (*listing, *new) if each.path.startswith(prefix))

    store = open_store(app.settings, "TRAINING_DATA")
    data = Listed(store, place.container, store)
    arriving = dataclasses.replace(app.flows.intake, data=data)
    with counted(place.azurite.blob_address) as calls:
        swept = _seconds(lambda: arriving.sweep(place.container))
    bare = _seconds(lambda: sum(1 for _ in data.listed()))
    yield (
        f"sweep, {OLD:,} old blobs and {NEW} new",
        f"{ms(swept)}, {calls.total()} storage calls",
        f"the listing alone {ms(bare)}",
        f"{swept / bare:.2f}",
    )


def _real_sweep(place: Workplace, app: App) -> Iterator[Row]:
    container = place.blobs.get_container_client(place.container)
    for number in range(REAL):
        container.upload_blob(f"elsewhere/{number}.csv", b"a\n1\n")
    app.flows.intake.sweep(place.container)
    for number in range(NEW):
        place.drop(f"new-{number}.csv", b"a\n1\n")
    with counted(place.azurite.blob_address) as calls:
        swept = _seconds(lambda: app.flows.intake.sweep(place.container))
    bare = _seconds(lambda: sum(1 for _ in container.list_blobs(results_per_page=5000)))
    yield (
        f"sweep, {REAL:,} blobs in Azurite and {NEW} new",
        f"{ms(swept)}, {calls.total()} storage calls",
        f"the listing alone {ms(bare)}",
        f"{swept / bare:.2f}",
    )


def _hashing(place: Workplace, app: App, gib: float) -> Iterator[Row]:
    """The stream that is hashed and checked, hashed only, beside a bare download of the same blob."""
    dataset = app.data.find(drop_large(place, int(gib * GIB)))
    assert dataset is not None
    digest: Any = hashlib.sha256()
    hashed = _seconds(lambda: [digest.update(chunk) for chunk in app.data.read(dataset)])
    client = place.blobs.get_blob_client(place.container, dataset.path)
    bare = _seconds(lambda: sum(len(chunk) for chunk in client.download_blob().chunks()))
    speed = dataset.size / 1e6
    against = f"bare download {speed / bare:.0f} MB/s"
    yield f"hashing {gib:g} GiB", f"{speed / hashed:.0f} MB/s", against, f"{bare / hashed:.2f}"


def _seconds(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
