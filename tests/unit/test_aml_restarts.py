"""The server dies at random moments and is started again: what it had answered holds, and what had begun ends."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ExponentialRetry

from aml.state.records import FINAL, Job, Operation
from aml.state.serving import BatchEndpoint, Deployment, Endpoint, Served
from aml.storage import accounts
from service.database import Database
from tests.support.aml import MODEL, Here
from tests.support.serving import endpoint_body
from tests.support.waiting import until

SEEDS, LIVES = range(2), 12
KINDS: tuple[type[Served], ...] = (Endpoint, Deployment, BatchEndpoint)


class Died(BaseException):
    """No `except Exception` catches it."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the storage, which is not there, tried once, and the threads of a dead server end without a word."""
    once = {"retry_total": 0}
    monkeypatch.setattr(accounts, "ExponentialRetry", lambda **options: ExponentialRetry(**{**options, **once}))
    said = threading.excepthook
    monkeypatch.setattr(threading, "excepthook", lambda given: None if given.exc_type is Died else said(given))


def die_after(records: Database, uses: int, *, kept: bool) -> None:
    """Have the server die at that use of its records: what it writes then is kept, or is not."""
    opened, counting, used = records._open, threading.Lock(), 0

    @contextmanager
    def dying() -> Iterator[Any]:
        nonlocal used
        with counting:
            used += 1
            now = used
        if now > uses:
            raise Died
        with opened() as database:
            yield database
            if now == uses and not kept:
                raise Died
        if now == uses:
            raise Died

    records._open = dying  # type: ignore[method-assign]


@dataclass
class Ledger:
    """What each resource may be, by its path: the texts of its tag `of`, and None where it may be missing."""

    may_be: dict[str, set[str | None]] = field(default_factory=lambda: defaultdict(lambda: {None}))
    jobs: set[str] = field(default_factory=set)  #: whose PUT was answered
    operations: set[str] = field(default_factory=set)  #: the ids of those that were answered

    def note(self, path: str, tag: str | None, *, answered: bool) -> None:
        """A call that had no answer may have taken effect."""
        below = [each for each in self.may_be if each.startswith(f"{path}/") and tag is None]
        for each in (path, *below):
            self.may_be[each] = {tag} if answered else self.may_be[each] | {tag}


def calls(chance: random.Random, workspace: str) -> Iterator[tuple[str, str, Any, str | None]]:
    """Make up calls: method, path, body, and what the tag is afterwards."""
    job = {"jobType": "Command", "command": "true", "environmentId": f"{workspace}/environments/python/versions/1"}
    model = {"endpointComputeType": "Managed", "model": f"{workspace}/models/m0/versions/1"}
    for number in range(10_000):
        tag, name = str(number), chance.randrange(3)
        tags = {"tags": {"of": tag}}
        yield chance.choice(
            [
                ("PUT", f"models/m{name}/versions/1", {"properties": {**MODEL, **tags}}, tag),
                ("PUT", f"onlineEndpoints/end{name}", {**endpoint_body(), **tags}, tag),
                ("PUT", f"onlineEndpoints/end{name}/deployments/blue", {"properties": model, **tags}, tag),
                ("DELETE", f"onlineEndpoints/end{name}", None, None),
                ("PUT", f"batchEndpoints/batch{name}", {"properties": {"authMode": "AADToken"}, **tags}, tag),
                ("PUT", f"jobs/j{chance.randrange(20)}", {"properties": {**job, **tags}}, tag),
                ("POST", f"jobs/j{chance.randrange(20)}/cancel", None, None),
            ]
        )


def live(here: Here, ledger: Ledger, made: Iterator[tuple[str, str, Any, str | None]]) -> None:
    """Answer calls until the server dies."""
    for method, path, body, tag in made:
        try:
            answer = here.call(method, path, body)
        except Died:
            if not path.startswith("jobs/"):
                ledger.note(path, tag, answered=False)
            return
        if answer.status >= 400:
            continue
        if operation := answer.headers.get("azure-asyncoperation"):
            ledger.operations.add(operation.partition("?")[0].rpartition("/")[2])
        if not path.startswith("jobs/"):
            ledger.note(path, tag, answered=True)
        elif method == "PUT":
            ledger.jobs.add(path)


def going_on(records: Database, ledger: Ledger) -> list[str]:
    """Return what has not ended. An operation that nobody was answered is nobody's."""
    operations = [each.id for each in records.all(Operation) if each.status == "InProgress"]
    changes = [each.path for kind in KINDS for each in records.all(kind) if each.moves]
    jobs = [each.path for each in records.all(Job) if each.status not in FINAL]
    return [*changes, *jobs, *(each for each in operations if each in ledger.operations)]


def check(here: Here, ledger: Ledger) -> None:
    """Everything that had begun ends, and what was answered holds."""
    records = here.workspace.records
    until(lambda: going_on(records, ledger) == [], lambda: going_on(records, ledger))
    assert ledger.jobs <= {each.path for each in records.all(Job)}
    for path, may_be in ledger.may_be.items():
        answer = here.call("GET", path)
        assert answer.status in (200, 404)
        tags = (answer.json.get("tags") or answer.json["properties"].get("tags")) if answer.status == 200 else {}
        assert tags.get("of") in may_be, (path, tags, may_be)
        ledger.may_be[path] = {tags.get("of")}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_answered_before_a_random_death_holds_after_it(tmp_path: Path, seed: int) -> None:
    chance, ledger = random.Random(seed), Ledger()
    first = Here(tmp_path)
    first.put("environments/python/versions/1", image="python:3.12")
    first.put("models/m0/versions/1", **MODEL)
    made = calls(chance, first.workspace.id)
    for _ in range(LIVES):
        here = Here(tmp_path)
        here.serving.start()
        here.jobs.start()
        check(here, ledger)
        die_after(here.workspace.records, chance.randrange(1, 40), kept=chance.random() < 0.5)
        live(here, ledger, made)
        for part in (here.jobs, here.serving):
            part.stop()
    assert {path.partition("/")[0] for path in ledger.may_be} == {"models", "onlineEndpoints", "batchEndpoints"}
    assert ledger.jobs
