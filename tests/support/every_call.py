"""A process that dies before and after each of its calls, once each, within this one.

A **point** is a call in a place of the story. The call is its method and its address, without the names of one job or
model. The place is what the app has written down so far, the state of the job and the phase and step of the change,
with the last write to the service since then. So the first traffic PUT and the third are two points, and a GET before
a write is another one than the same GET after it. Equal calls in one place are one point.

A death **before** a point: the call never gets out. A death **after** it: the call is carried out, and its answer is
lost. From then on none of the process's calls gets out, whatever it still does. What a dead process has read is lost
with it, so a death before a call that only reads is a death after the call before it, and is not tried apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import requests.adapters

from shared.domain.arrivals import ArrivalState
from shared.domain.champions import Phase
from shared.domain.jobs import FINAL, JobState
from tests.support.dying import Died

BEFORE, AFTER = "before", "after"
#: calls whose place is chance: a process gets its tokens when it begins, and notes now and then that it polls
OF_NO_PLACE = ("token", "polls/last.json")
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAMES = re.compile(rf"{_UUID}|(\d{{8}}T\d{{6}}-)?m?[0-9a-f]{{10,64}}|\d+(?=\.(json|csv))")
_WORKSPACE = re.compile(r"subscriptions/.*?/workspaces/[^/?]+", re.IGNORECASE)
_TRAFFIC = "PUT workspace/onlineEndpoints/breast-cancer"


class Point(NamedTuple):
    place: str
    call: str


Death = tuple[Point, str]


def deaths_at(point: Point) -> set[Death]:
    """Return the deaths at a point: after it, and also before it where it changes something."""
    reads = point.call.startswith(("GET", "HEAD", "POST score", "POST mlflow"))
    return {(point, AFTER)} if reads else {(point, BEFORE), (point, AFTER)}


class Place:
    """Where in the story the app is, as its own writes say.

    What follows a traffic PUT is one place for all steps and changes, and so is what follows their reading back: the
    way on is the same. The last step, which is proven, is another.
    """

    def __init__(self) -> None:
        self._arrival = self._job = self._change = self._written = ""

    def __str__(self) -> str:
        change = "a step is asked for" if self._written == _TRAFFIC and "asked for" in self._change else self._change
        return ", ".join(
            filter(None, (change or self._job or self._arrival, self._written and f"after {self._written}"))
        )

    def of(self, call: str) -> str:
        """Return the place of a call. What comes by the time, and not by the way of the story, has a wider one."""
        if call.endswith(OF_NO_PLACE):
            return ""
        if call.endswith("active/deployments/breast-cancer.json"):
            return (self._change and "a change") or (self._job and "a job")
        return str(self)

    def note(self, request: requests.PreparedRequest, call: str) -> None:
        """Take in a call that was carried out."""
        before = (self._arrival, self._job, self._change)
        match call.split("/"):
            case ["PUT workspace" | "DELETE workspace", *_]:
                self._written = call
            case ["PUT retraining", "arrivals", _, _]:
                arrival = _sent(request)
                is_checked = arrival["state"] == ArrivalState.SETTLING.value and arrival.get("checks")
                self._arrival = "check begun" if is_checked else ""
            case ["PUT retraining", "jobs", _]:
                self._job = _of_job(_sent(request))
            case ["PUT retraining", "champions", name] if name.endswith(".json"):
                self._change = _of_champion(_sent(request))
        if before != (self._arrival, self._job, self._change):
            self._written = ""


def _of_job(job: dict[str, Any]) -> str:
    if JobState(job["state"]) in FINAL:
        return ""
    stage = job.get("stage") or {}
    staged = f" {'proven' if stage.get('proven_at') else 'begun'}" if stage else ""
    return f"job {job['state']}{staged}"


def _of_champion(champion: dict[str, Any]) -> str:
    change = champion.get("change")
    if not change:
        return ""
    action, traffic = change["entry"]["action"], change["traffic"]
    if Phase(change["phase"]) is not Phase.SHARING:
        return f"{action}: {change['phase']}"
    step, last = traffic.get("step", 0), len(traffic["plan"]) - 1
    if traffic.get("given"):
        return f"{action}: the last step is given" if step == last else "a step is given"
    return f"{action}: step {step + 1} is asked for"


def _sent(request: requests.PreparedRequest) -> dict[str, Any]:
    """Return the JSON that was sent."""
    body: Any = request.body
    if hasattr(body, "seek"):
        body.seek(0)
        body = body.read()
    return dict(json.loads(body))


class Calls:
    """The calls of the app. It dies at the `planned` deaths, each once; `deaths` are those that it died.

    `points` are those that it has come to; `writes` counts its writes to the service.
    """

    def __init__(self, service: str, storage: str, planned: frozenset[Death] = frozenset()) -> None:
        self.service, self.storage, self.planned = service, storage, planned
        self.points, self.deaths = set[Point](), set[Death]()
        self.writes = 0
        self._place, self._lock, self._dead = Place(), RLock(), False

    @contextmanager
    def process(self) -> Iterator[Callable[[], bool]]:
        """Let what is done within be one process, which may die; yield what says whether it has died.

        Nothing but its death is swallowed.
        """
        send = requests.adapters.HTTPAdapter.send
        self._dead = False

        def sent(
            adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any
        ) -> requests.Response:
            call = self._call(request)
            with self._lock:
                point = Point(self._place.of(call), call)
                self._die_if((point, BEFORE))
                self.points.add(point)
            answer = send(adapter, request, **options)
            with self._lock:
                if answer.status_code < 300:
                    self._place.note(request, call)
                    self.writes += call.startswith(("PUT workspace", "DELETE workspace"))
                self._die_if((point, AFTER))
            return answer

        requests.adapters.HTTPAdapter.send = sent  # type: ignore[method-assign, assignment]
        try:
            yield lambda: self._dead
        except Died:
            assert self._dead
        finally:
            requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign]

    def _die_if(self, death: Death) -> None:
        if self._dead:
            raise Died
        if death in self.planned and death not in self.deaths:
            self.deaths.add(death)
            self._dead = True
            raise Died

    def _call(self, request: requests.PreparedRequest) -> str:
        """Return the call without the names of one job or model."""
        url = str(request.url)
        parts = urlsplit(url)
        kind, query = [""], parse_qs(parts.query)
        if url.startswith(self.storage):
            kind = [*query.get("comp", []), *query.get("prefix", []), request.headers.get("x-ms-lease-action", "")]
            place = parts.path.removeprefix(urlsplit(self.storage).path).lstrip("/")
        elif url.startswith(self.service):
            kind = ["of one deployment"] if "azureml-model-deployment" in request.headers else kind
            place = _WORKSPACE.sub("workspace", parts.path.lstrip("/"))
        else:
            place = "token"
        said = " ".join(filter(None, kind))
        return _NAMES.sub("{}", f"{request.method} {place}{f' ({said})' if said else ''}")
