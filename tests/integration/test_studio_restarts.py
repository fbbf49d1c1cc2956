"""The server is killed at any moment and started again: what it had answered holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from local.azurite import Azurite
from local.datasets import as_csv, breast_cancer
from local.studio import RunningStudio, running_studio
from local.workplace import PIPELINE
from studio.experiments.loading import load_experiment
from studio.publishing import Published, Studio
from tests.support.processes import HAS_PROC, NO_PROC, grandchildren, lives
from tests.support.studio import FINAL, Client
from tests.support.waiting import until

DATA = "data/a.csv"


@pytest.fixture(scope="module")
def azurite(azurite_of_file: Azurite) -> Azurite:
    return azurite_of_file


@pytest.fixture(scope="module")
def data(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    blobs = Studio(tmp_path_factory.mktemp("data"), azurite.connection_string).blobs
    blobs.write(blobs.own(DATA), as_csv(*breast_cancer()))
    return {"ConnectionString": azurite.connection_string, "RelativeLocation": DATA}


def test_a_running_job_fails_with_a_reason_a_queued_one_runs_and_a_cancelled_one_stays_so(
    azurite: Azurite, tmp_path: Path, data: dict[str, str]
) -> None:
    published = Studio(tmp_path, azurite.connection_string).deploy_training(load_experiment(PIPELINE))
    with running_studio(tmp_path, azurite.connection_string, "--at-once", "1", "--slow", "600") as studio:
        client = Client(f"{studio.address}{published.path}", published.key)
        fresh = client.call("POST", "/jobs", {"Input": data}).json()
        jobs = [client.submit({"Input": data}) for _ in range(3)]
        client.wait(jobs[0], lambda state: state == "Running")
        assert client.call("GET", f"/jobs/{jobs[1]}").json()["StatusCode"] == "NotStarted"
        client.call("DELETE", f"/jobs/{jobs[0]}")
        client.wait(jobs[1], lambda state: state == "Running")  # first in, first out
        studio.child.process.kill()
    with running_studio(tmp_path, azurite.connection_string) as studio:
        client = Client(f"{studio.address}{published.path}", published.key)
        assert client.wait(jobs[0])["StatusCode"] == "Cancelled"
        stopped = client.wait(jobs[1])
        assert stopped["StatusCode"] == "Failed"
        assert "The server stopped" in stopped["Details"]
        assert client.wait(jobs[2])["StatusCode"] == "Finished"
        assert client.call("GET", f"/jobs/{fresh}").json()["StatusCode"] == "NotStarted"
        assert client.call("POST", f"/jobs/{fresh}/start").status_code == 204
        assert client.wait(fresh)["StatusCode"] == "Finished"


@pytest.mark.skipif(not HAS_PROC, reason=NO_PROC)
def test_the_process_of_a_job_ends_with_its_server_and_leaves_nothing_behind(azurite: Azurite, tmp_path: Path) -> None:
    studio = Studio(tmp_path, azurite.connection_string)
    published = studio.deploy_training(load_experiment(PIPELINE))
    header, rows = breast_cancer()
    studio.blobs.write(studio.blobs.own("data/many.csv"), as_csv(header, rows * 20))
    many = {"ConnectionString": azurite.connection_string, "RelativeLocation": "data/many.csv"}
    model = {**many, "RelativeLocation": "outputs/orphan.ilearner"}
    with running_studio(tmp_path, azurite.connection_string) as server:
        client = Client(f"{server.address}{published.path}", published.key)
        client.submit({"Input": many, "Outputs": {"output1": model}})
        until(lambda: bool(grandchildren(server.child.pid)), "a process works on the job")
        working = grandchildren(server.child.pid)
        server.child.process.kill()
    until(lambda: not any(map(lives, working)), "the job's process ends", 10)
    assert "outputs" not in [each.name for each in studio.blobs._own.list_containers()]


@dataclass
class Ledger:
    """What clients asked for and were answered, over all restarts."""

    endpoints: dict[str, Any] = field(default_factory=dict)  #: as they were answered when they were made
    updates: int = 0  #: numbered updates of the endpoint `retrained` that were answered
    asked: int = 0  #: and that were asked for
    jobs: dict[str, str] = field(default_factory=dict)  #: created, starting (not answered) or started


@dataclass
class Place:
    """What is published, and the two models between which the endpoint `retrained` goes to and fro."""

    studio: Studio
    training: Published
    retrained: Published
    models: list[dict[str, Any]]
    rows: tuple[list[str], list[list[str]]]

    def trainer(self, server: RunningStudio) -> Client:
        return Client(f"{server.address}{self.training.path}", self.training.key)

    def endpoint(self, server: RunningStudio, name: str) -> Client:
        address = f"{server.address}{self.retrained.management.rpartition('/')[0]}/{name}"
        return Client(address, self.studio.workspace.primary_token)


def test_what_was_answered_before_a_kill_is_so_after_it(azurite: Azurite, tmp_path: Path, data: dict[str, str]) -> None:
    place, ledger = _published(tmp_path, azurite.connection_string), Ledger()
    expected = None
    for answers in (3, 15, 40, 0):
        with running_studio(tmp_path, azurite.connection_string, "--processes", "1") as server:
            expected = expected or _scores_of_both(place, server)
            _check(place, server, ledger, expected)
            if answers:
                _work_until_killed(place, server, ledger, data, answers)
            else:
                ends = {job: place.trainer(server).wait(job) for job, how in ledger.jobs.items() if how == "started"}
    states = [status["StatusCode"] for status in ends.values()]
    assert len(states) > 3
    assert set(states) <= {"Finished", "Failed"}
    assert all("The server stopped" in each["Details"] for each in ends.values() if each["StatusCode"] == "Failed")
    assert (len(ledger.endpoints) > 3, ledger.updates > 3) == (True, True)


def _published(folder: Path, storage: str) -> Place:
    studio = Studio(folder, storage)
    header, rows = breast_cancer()
    experiment = load_experiment(PIPELINE)
    runs = [studio.run(experiment, as_csv(header, rows[:count])) for count in (100, 300)]
    [retrained] = studio.deploy_classic(runs[0])
    models = [msgspec.to_builtins(studio.blobs.result(run.scorers[0].resource.location)) for run in runs]
    return Place(studio, studio.deploy_training(experiment), retrained, models, (header, rows[:3]))


def _update(place: Place, server: RunningStudio, number: int) -> requests.Response:
    """Give the endpoint the model that this update has, and tell its number in the description."""
    resources = [{"Name": place.retrained.models[0], "Location": place.models[number % 2]}]
    return place.endpoint(server, "retrained").call("PATCH", "", {"Resources": resources, "Description": str(number)})


def _scores(place: Place, server: RunningStudio) -> Any:
    scored = Client(f"{server.address}{place.retrained.path}", place.retrained.key).score(*place.rows)
    return scored.json()["Results"]["output1"]["value"]["Values"]


def _scores_of_both(place: Place, server: RunningStudio) -> list[Any]:
    scores = []
    for number in (-1, 0):
        _update(place, server, number).raise_for_status()
        scores.insert(0, _scores(place, server))
    assert scores[0] != scores[1]
    return scores


def _check(place: Place, server: RunningStudio, ledger: Ledger, expected: list[Any]) -> None:
    for name, made in ledger.endpoints.items():
        assert _lasting(place.endpoint(server, name).call("GET").json()) == made
    live = int(place.endpoint(server, "retrained").call("GET").json()["Description"])
    assert live in (ledger.updates, ledger.asked)  # one that was not answered may have taken effect
    ledger.updates = ledger.asked = live
    assert _scores(place, server) == expected[live % 2]
    for job, how in ledger.jobs.items():
        state = place.trainer(server).call("GET", f"/jobs/{job}").json()["StatusCode"]
        assert state in (("NotStarted",) if how == "created" else ("NotStarted", "Running", *FINAL))


def _work_until_killed(place: Place, server: RunningStudio, ledger: Ledger, data: dict[str, str], answers: int) -> None:
    """Have clients create, update and start at once, and kill the server after so many answers."""
    counted, answered = threading.Lock(), 0

    def count() -> None:
        nonlocal answered
        with counted:
            answered += 1
            if answered == answers:
                server.child.process.kill()

    def create() -> None:
        name = f"customer{len(ledger.endpoints)}"
        made = place.endpoint(server, name).call("PUT", "", {"Description": name})
        if made.status_code == 409:  # it was made, and the answer was lost
            made = place.endpoint(server, name).call("GET")
        made.raise_for_status()
        ledger.endpoints[name] = _lasting(made.json())

    def update() -> None:
        ledger.asked = ledger.updates + 1
        _update(place, server, ledger.asked).raise_for_status()
        ledger.updates = ledger.asked

    def submit() -> None:
        client = place.trainer(server)
        job = client.call("POST", "/jobs", {"Input": data}).json()
        ledger.jobs[job] = "created"
        count()
        ledger.jobs[job] = "starting"
        client.call("POST", f"/jobs/{job}/start").raise_for_status()
        ledger.jobs[job] = "started"

    failures: list[Exception] = []

    def again_and_again(act: Callable[[], None]) -> None:
        try:
            while True:
                act()
                count()
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return  # the server is dead
        except Exception as failure:
            failures.append(failure)
            server.child.process.kill()

    with ThreadPoolExecutor() as clients:
        list(clients.map(again_and_again, (create, update, submit)))
    assert failures == []


def _lasting(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the endpoint without what changes in each answer, and without the server's port."""
    kept = {name: value for name, value in endpoint.items() if name not in ("Resources", "HelpLocation")}
    kept["ApiLocation"] = endpoint["ApiLocation"].rpartition("/")[2]
    kept["Resources"] = [
        (each["Name"], each["Location"]["BaseLocation"], each["Location"]["RelativeLocation"])
        for each in endpoint["Resources"]
    ]
    return kept
