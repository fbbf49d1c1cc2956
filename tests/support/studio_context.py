"""A Studio without a server and without a storage: its handlers are functions of a context and a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from service.keys import new_id
from studio.api.context import Call, Context
from studio.errors import bad_argument
from studio.faults.orders import Faults
from studio.jobs.runner import JobRunner, Pace
from studio.learning.ilearner import pack
from studio.publishing import DEFAULT, Studio, new_endpoint
from studio.state.blobs import Blobs
from studio.state.records import Endpoint, Job, Reference, Resource, Scorer, Service, now
from tests.support.samples import LEARNT, cellar, trained

STORAGE = "BlobEndpoint=http://127.0.0.1:1/own;AccountName=own;AccountKey=Zm9v"
ADDRESS = "http://127.0.0.1:10010"


class MemoryBlobs(Blobs):
    """The blobs of this process, by container and name. Where a reference may lead is decided as ever."""

    def __init__(self, storage: str = STORAGE) -> None:
        super().__init__(storage)
        self.held: dict[str, bytes] = {}

    def read(self, reference: Reference, target: str | None = None) -> bytes:
        self._client(reference, target)
        name = (reference.relative_location or "").lstrip("/")
        if name not in self.held:
            raise bad_argument("BlobNotFound", f"Unable to access the provided Azure blob - {name}.", target)
        return self.held[name]

    def check(self, reference: Reference, target: str) -> None:
        self.read(reference, target)

    def write(self, reference: Reference, content: bytes, target: str | None = None) -> None:
        self._client(reference, target)
        self.held[(reference.relative_location or "").lstrip("/")] = content


class Queue(JobRunner):
    """The queue of jobs, which runs none: `taken` are the jobs that were put in."""

    def __init__(self, studio: Studio, faults: Faults) -> None:
        super().__init__(studio.records, studio.folder, STORAGE, faults, Pace(processes=0))
        self.taken: list[str] = []

    def enqueue(self, job: Job) -> None:
        self.taken.append(job.id)


@cache
def model(seed: int = 7) -> bytes:
    """Return a model file: two classes, from numbers and texts."""
    return pack(trained(LEARNT[0], cellar(), seed).model)


@dataclass
class Handlers:
    """A Studio with a predictive web service and its endpoint `retrained`."""

    context: Context
    blobs: MemoryBlobs
    service: Service
    endpoint: Endpoint
    jobs: Queue

    def call(
        self, names: Mapping[str, str] | None = None, body: Any = b"", *, key: str | None = None, **more: Any
    ) -> Call:
        """Return a call to the endpoint, by its own key unless another is given."""
        everything = {
            "workspace": self.service.parent,
            "service": self.service.id,
            "endpoint": self.endpoint.id,
            "name": self.endpoint.name,
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Call(
            base=ADDRESS,
            path="",
            names={**everything, **(names or {})},
            query=more.pop("query", {"api-version": "2.0"}),
            authorization=f"Bearer {self.endpoint.primary_key if key is None else key}",
            body=content,
            **more,
        )

    def now(self) -> Endpoint:
        """Return the endpoint as it is recorded."""
        return self.context.studio.records.get(Endpoint, self.endpoint.id)


def handlers(folder: Path, **settings: Any) -> Handlers:
    """Return a Studio in the folder; `settings` are the endpoint's."""
    studio = Studio(folder, STORAGE)
    blobs = MemoryBlobs()
    studio.__dict__["blobs"] = blobs
    resource = Resource(
        name="Cellar [trained model]", location=blobs.own("m/a.ilearner"), sha256=studio.models.keep(model())
    )
    scorers = [Scorer(resource=resource, input="input1", output="output1")]
    service = Service(id=new_id(), parent=studio.identity.workspace, name="Cellar [Predictive Exp.]", created=now())
    default = new_endpoint(service.id, DEFAULT, scorers=scorers)
    endpoint = new_endpoint(service.id, "retrained", scorers=scorers, **settings)
    studio.records.put(service, default, endpoint)
    faults = Faults()
    jobs = Queue(studio, faults)
    return Handlers(Context(studio, jobs, faults), blobs, service, endpoint, jobs)
