"""Storage in memory, with the ways in which it fails, and time that passes only when somebody waits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from threading import Lock

from shared.base.errors import Busy, DataChanged, RecordChanged
from shared.domain.folders import Files, read_folder
from shared.domain.jobs import Dataset, Model
from shared.domain.joining import joined, name_in_folder
from shared.domain.ports import (
    SHOWN_AT_MOST,
    BlobReference,
    Document,
    KeptModel,
    Lease,
)

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


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
