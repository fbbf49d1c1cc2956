"""The local Studio misbehaves on order, as the real service did: what a client sees, and that it stops again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests

from local.datasets import as_csv
from local.workplace import Workplace
from shared.adapters.studio.bes_details import innermost_message
from studio.faults.orders import Faults
from studio.state.records import Job
from tests.support.waiting import PATIENCE, until

FINAL = ("Finished", "Failed", "Cancelled")
ARM = "2017-01-01"


@dataclass
class Rehearsal:
    """A workplace whose Studio takes orders. `models` are two ilearners that fit its services."""

    place: Workplace
    models: list[str]

    def order(self, kind: str, **options: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.control}/faults", json={"kind": kind, **options}, timeout=PATIENCE)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    @property
    def control(self) -> str:
        return self.place.studio.control

    def lift(self) -> None:
        requests.delete(f"{self.control}/faults", timeout=PATIENCE)

    def orders(self) -> list[dict[str, Any]]:
        return list(requests.get(f"{self.control}/faults", timeout=PATIENCE).json())

    def training(self, method: str, path: str = "", body: Any = None) -> requests.Response:
        settings = self.place.settings
        return _call(
            method,
            f"{settings['BREAST_CANCER_TRAINING_ADDRESS']}/jobs{path}",
            settings["BREAST_CANCER_TRAINING_KEY"],
            "2.0",
            body,
        )

    def job(self) -> str:
        """Create a job, not started."""
        data = {"BaseLocation": self.blobs, "RelativeLocation": "data/a.csv"}
        return str(self.training("POST", "", {"Inputs": {"input1": data}}).json())

    def end(self, job: str) -> dict[str, Any]:
        status: dict[str, Any] = {}

        def ended() -> bool:
            status.update(self.training("GET", f"/{job}").json())
            return status["StatusCode"] in FINAL

        until(ended, lambda: status)
        return status

    @property
    def blobs(self) -> str:
        return self.place.studio.studio.blobs.address

    def classic(self, method: str, body: Any = None) -> requests.Response:
        settings = self.place.settings
        return _call(
            method, settings["BREAST_CANCER_CLASSIC_ADDRESS"], settings["BREAST_CANCER_CLASSIC_KEY"], "2.0", body
        )

    def swap_classic(self, model: str) -> requests.Response:
        location = {"BaseLocation": self.blobs, "RelativeLocation": model}
        return self.classic("PATCH", {"Resources": [{"Name": self.place.classic.models[0], "Location": location}]})

    def new(self, method: str, body: Any = None, address: str = "") -> requests.Response:
        settings = self.place.settings
        address = address or f"{settings['ARM_ADDRESS']}{settings['BREAST_CANCER_NEW_ID']}"
        return _call(method, address, settings["ARM_TOKEN"], ARM, body)

    def swap_new(self, model: str, method: str = "PATCH") -> requests.Response:
        definition = self.new("GET").json()
        for asset in definition["properties"]["assets"].values():
            if asset["name"] == self.place.new.models[0]:
                asset["locationInfo"]["uri"] = f"{self.blobs}{model}"
        return self.new(method, definition)

    def operation(self, accepted: requests.Response) -> dict[str, Any]:
        """Follow the operation to its end."""
        body: dict[str, Any] = {}

        def ended() -> bool:
            headers = {"Authorization": f"Bearer {self.place.settings['ARM_TOKEN']}"}
            body.update(
                requests.get(accepted.headers["Azure-AsyncOperation"], headers=headers, timeout=PATIENCE).json()
            )
            return body["status"] in ("Succeeded", "Failed")

        until(ended, lambda: body)
        return body

    def scores(self, which: str) -> requests.Response:
        published = getattr(self.place, which)
        table = {"ColumnNames": self.place.header, "Values": self.place.rows[:3]}
        address = f"{self.place.studio.address}{published.path}/execute"
        return _call("POST", address, published.key, "2.0", {"Inputs": {"input1": table}})


def _call(method: str, address: str, key: str, version: str, body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.request(
        method, address, params={"api-version": version}, json=body, headers=headers, timeout=PATIENCE
    )


@pytest.fixture(scope="module")
def running(place: Workplace) -> Rehearsal:
    blobs, names = place.studio.studio.blobs, []
    blobs.write(blobs.own("data/a.csv"), as_csv(place.header, place.rows))
    for number, rows in enumerate((300, 500)):
        run = place.studio.studio.run(place.first.experiment, as_csv(place.header, place.rows[:rows]))
        names.append(f"models/{number}.ilearner")
        blobs.write(blobs.own(names[-1]), place.studio.studio.models.read(run.scorers[0].resource.sha256))
    return Rehearsal(place, names)


@pytest.fixture
def rehearsal(running: Rehearsal) -> Iterator[Rehearsal]:
    """Nothing on order, and the services with their first model's definition readable."""
    yield running
    running.lift()


def unanswered(call: Any) -> bool:
    """Return whether the call ends without an answer."""
    try:
        call()
    except requests.ConnectionError:
        return True
    return False


def test_an_answer_lost_after_a_job_was_created_leaves_the_job_there(rehearsal: Rehearsal) -> None:
    before = _jobs(rehearsal)
    rehearsal.order("lost answer", operation="bes.create", count=1)
    assert unanswered(rehearsal.job)
    [job] = _jobs(rehearsal) - before
    assert rehearsal.training("GET", f"/{job}").json()["StatusCode"] == "NotStarted"
    assert rehearsal.job()  # the order was for one


def test_an_answer_lost_after_a_job_was_started_leaves_it_started(rehearsal: Rehearsal) -> None:
    job = rehearsal.job()
    rehearsal.order("lost answer", operation="bes.start", count=1)
    assert unanswered(lambda: rehearsal.training("POST", f"/{job}/start"))
    assert rehearsal.training("POST", f"/{job}/start").json()["error"]["details"][0]["code"] == "CannotStartJob"
    assert rehearsal.end(job)["StatusCode"] == "Finished"


@pytest.mark.parametrize("which", ["classic", "new"])
def test_an_answer_lost_after_an_update_leaves_the_update_in_effect(rehearsal: Rehearsal, which: str) -> None:
    swap = getattr(rehearsal, f"swap_{which}")
    swap(rehearsal.models[0])
    before = rehearsal.scores(which).json()
    rehearsal.order("lost answer", operation={"classic": "classic.update", "new": "arm.patch"}[which], count=1)
    assert unanswered(lambda: swap(rehearsal.models[1]))
    assert rehearsal.scores(which).json() != before


def test_a_reset_strikes_before_the_call_takes_effect(rehearsal: Rehearsal) -> None:
    before = _jobs(rehearsal)
    rehearsal.order("reset", operation="bes.create", count=1)
    assert unanswered(rehearsal.job)
    assert _jobs(rehearsal) == before


@pytest.mark.parametrize(("kind", "status"), [("unavailable", 503), ("throttled", 429)])
def test_a_refusal_says_when_to_come_again(rehearsal: Rehearsal, kind: str, status: int) -> None:
    rehearsal.order(kind, operation="rrs.execute", count=1, seconds=7)
    refused = rehearsal.scores("classic")
    assert (refused.status_code, refused.headers["Retry-After"]) == (status, "7")
    assert set(refused.json()["error"]) == {"code", "message", "details"}
    assert rehearsal.scores("classic").status_code == 200


def test_a_slow_answer_comes_late_and_a_truncated_one_by_half(rehearsal: Rehearsal) -> None:
    rehearsal.order("slow", operation="rrs.execute", count=1, seconds=0.5)
    assert rehearsal.scores("classic").elapsed.total_seconds() >= 0.5
    whole = rehearsal.scores("classic").content
    rehearsal.order("truncated", operation="rrs.execute", count=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match=f"{len(whole) // 2} bytes read"):
        rehearsal.scores("classic")


def test_a_stuck_job_stays_as_it_is_until_it_is_cancelled(rehearsal: Rehearsal) -> None:
    for state in ("NotStarted", "Running"):
        rehearsal.order("stuck", count=1, state=state)
        stuck, other = rehearsal.job(), rehearsal.job()
        rehearsal.training("POST", f"/{stuck}/start")
        until(lambda: all(order["count"] == 0 for order in rehearsal.orders()), "the fault to strike")
        rehearsal.training("POST", f"/{other}/start")
        assert rehearsal.end(other)["StatusCode"] == "Finished"
        assert rehearsal.training("GET", f"/{stuck}").json()["StatusCode"] == state
        rehearsal.training("DELETE", f"/{stuck}")
        assert rehearsal.training("GET", f"/{stuck}").json()["StatusCode"] == "Cancelled"


def test_a_job_fails_on_order_with_a_nested_module_error(rehearsal: Rehearsal) -> None:
    rehearsal.order("failed job", count=1)
    job = rehearsal.job()
    rehearsal.training("POST", f"/{job}/start")
    status = rehearsal.end(job)
    assert status["StatusCode"] == "Failed"
    assert status["Details"].startswith("Module: Train Model;")
    assert innermost_message(status["Details"]) == "The library failed on order"


def test_results_come_with_an_expired_sas_once_and_a_fresh_one_at_the_next_look(rehearsal: Rehearsal) -> None:
    job = rehearsal.job()
    rehearsal.training("POST", f"/{job}/start")
    rehearsal.end(job)
    rehearsal.order("expired result", count=1)

    def fetched() -> requests.Response:
        result = rehearsal.training("GET", f"/{job}").json()["Results"]["output1"]
        expiry = datetime.fromisoformat(parse_qs(result["SasBlobToken"].lstrip("?"))["se"][0])
        content = requests.get(
            result["BaseLocation"] + result["RelativeLocation"] + result["SasBlobToken"], timeout=PATIENCE
        )
        assert (expiry < datetime.now(UTC)) == (content.status_code == 403)
        return content

    assert [fetched().status_code, fetched().status_code] == [403, 200]


def test_an_unknown_status_is_a_word_that_no_client_knows(rehearsal: Rehearsal) -> None:
    job = rehearsal.job()
    rehearsal.order("unknown status", count=1)
    assert rehearsal.training("GET", f"/{job}").json()["StatusCode"] not in ("NotStarted", "Running", *FINAL)
    assert rehearsal.training("GET", f"/{job}").json()["StatusCode"] == "NotStarted"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_operation_fails_after_a_good_looking_answer_and_nothing_has_changed(
    rehearsal: Rehearsal, method: str
) -> None:
    rehearsal.swap_new(rehearsal.models[0])
    before, scores = rehearsal.new("GET").json()["properties"]["assets"], rehearsal.scores("new").json()
    rehearsal.order("failing operation", count=1, seconds=0.3)
    accepted = rehearsal.swap_new(rehearsal.models[1], method)
    assert accepted.status_code == 200
    assert rehearsal.operation(accepted)["status"] == "Failed"
    assert rehearsal.new("GET").json()["properties"]["assets"] == before
    assert rehearsal.scores("new").json() == scores


@pytest.mark.parametrize("which", ["classic", "new"])
def test_an_update_without_effect_is_answered_well_and_shows_the_old_model(rehearsal: Rehearsal, which: str) -> None:
    swap = getattr(rehearsal, f"swap_{which}")
    swap(rehearsal.models[0])
    before, scores = _models(rehearsal, which), rehearsal.scores(which).json()
    rehearsal.order("no effect", count=1)
    assert swap(rehearsal.models[1]).status_code == 200
    assert (_models(rehearsal, which), rehearsal.scores(which).json()) == (before, scores)


@pytest.mark.parametrize("which", ["classic", "new"])
def test_a_deaf_endpoint_shows_the_new_model_and_scores_with_the_former_until_the_next_update(
    rehearsal: Rehearsal, which: str
) -> None:
    swap = getattr(rehearsal, f"swap_{which}")
    swap(rehearsal.models[0])
    before, scores = _models(rehearsal, which), rehearsal.scores(which).json()
    rehearsal.order("deaf", count=1)
    assert swap(rehearsal.models[1]).status_code == 200
    assert _models(rehearsal, which) != before
    assert rehearsal.scores(which).json() == scores
    for model in rehearsal.models:
        swap(model)
    assert rehearsal.scores(which).json() != scores


@pytest.mark.parametrize("which", ["classic", "new"])
def test_a_late_update_is_answered_at_once_and_scores_change_afterwards(rehearsal: Rehearsal, which: str) -> None:
    swap = getattr(rehearsal, f"swap_{which}")
    swap(rehearsal.models[0])
    scores = rehearsal.scores(which).json()
    rehearsal.order("late", count=1, seconds=10)
    swap(rehearsal.models[1])
    assert rehearsal.scores(which).json() == scores
    until(lambda: rehearsal.scores(which).json() != scores, "the new model's scores")


def test_an_order_strikes_its_endpoint_alone_and_by_its_chance_alike_at_each_rehearsal(rehearsal: Rehearsal) -> None:
    def struck(**options: Any) -> list[bool]:
        rehearsal.lift()
        rehearsal.order("unavailable", operation="rrs.execute", **options)
        return [rehearsal.scores("classic").status_code == 503 for _ in range(20)]

    assert struck(endpoint="another") == [False] * 20
    assert struck(endpoint=rehearsal.place.classic.name) == [True] * 20
    assert struck(endpoint=rehearsal.place.classic.path.rsplit("/", 1)[1], count=2) == [True] * 2 + [False] * 18
    by_chance = struck(probability=0.5, seed=3)
    assert 0 < sum(by_chance) < 20
    assert struck(probability=0.5, seed=3) == by_chance
    assert rehearsal.orders()[0]["struck"] == sum(by_chance)


def test_an_order_that_means_nothing_is_refused_and_says_what_would(rehearsal: Rehearsal) -> None:
    for fault, said in (
        ({"kind": "lost"}, "lost answer"),
        ({"kind": "slow", "operation": "bes.begin"}, "bes.start"),
        ({"kind": "stuck", "operation": "bes.start"}, "its own place"),
        ({"kind": "slow", "probability": 0}, "above 0"),
        ({"kind": "slow", "count": 0}, "from 1"),
        ({"kind": "stuck", "state": "Finished"}, "NotStarted, Running"),
        ({"kind": "slow", "when": "now"}, "when"),
        ([], "not a fault"),
    ):
        answer = requests.post(f"{rehearsal.control}/faults", json=fault, timeout=PATIENCE)
        assert answer.status_code == 400
        assert said in answer.text
    plain = requests.post(f"{rehearsal.control}/faults", data='{"kind": "slow"}', timeout=PATIENCE)
    assert plain.status_code == 400
    elsewhere = requests.get(f"{rehearsal.control}/faults", headers={"Host": "studio.example"}, timeout=PATIENCE)
    assert elsewhere.status_code == 400
    assert rehearsal.orders() == []


def test_the_control_opens_only_on_request(rehearsal: Rehearsal) -> None:
    assert requests.get(f"{rehearsal.place.studio.address}/faults", timeout=PATIENCE).status_code == 404
    assert set(Faults.KINDS) >= {"lost answer", "stuck", "no effect", "late", "failing operation"}


def _jobs(rehearsal: Rehearsal) -> set[str]:
    return {job.id for job in rehearsal.place.studio.studio.records.all(Job)}


def _models(rehearsal: Rehearsal, which: str) -> list[str]:
    if which == "classic":
        return [each["Location"]["RelativeLocation"] for each in rehearsal.classic("GET").json()["Resources"]]
    return [each["locationInfo"]["uri"] for each in rehearsal.new("GET").json()["properties"]["assets"].values()]
