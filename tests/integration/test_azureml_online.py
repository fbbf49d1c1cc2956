"""An online endpoint whose deployments answer: proven before anybody is served, shared, scored, taken back."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import skops.io

from aml.storage.blobs import container_of
from local.azurite import ACCOUNT, Azurite
from service.faults.orders import Fault
from shared.adapters.azureml.online import AzureMLOnlineEndpoint, Known
from shared.adapters.azureml.places import OwnStorage
from shared.adapters.azureml.scoring import OnlineScoring as Scoring
from shared.adapters.azureml.workspace import Workspace
from shared.adapters.identity import Tokens
from shared.base.errors import AccessRefused, RetrainingError, ServiceRefused, ServiceUnavailable
from shared.domain.azureml import AzureMLOnlineTarget, OnlineScoring
from shared.domain.checks import Checks
from shared.domain.gate.scored import LABELS
from shared.domain.jobs import Model
from shared.domain.ports import Pending, Ready, Refused
from shared.domain.rows import Rows
from shared.domain.values import Address, ResourceId
from tests.support.aml_session import Credential
from tests.support.serving import ServingHere, constant_model, publish, serving
from tests.support.waiting import until

ROWS = Rows(["a", "b"], [["1", "2.5"], ["3", "-1"]])
NEW, BROKEN = Model(sha256="e" * 64, size=1, folder=True), Model(sha256="f" * 64, size=1, folder=True)
OLD = Model(sha256="0" * 64, size=1, folder=True)
CONTAINER = "online-models"
#: fails for rows of text, and takes its time for many
OWN_SCRIPT = """
import json, time

def run(raw):
    rows = json.loads(raw)["data"]
    if any(isinstance(row["a"], str) for row in rows):
        raise ValueError("text")
    time.sleep(30 if len(rows) > 100 else 0)
    return {"result": [row["a"] + row["b"] for row in rows]}
"""


class Place:
    def __init__(self, running: ServingHere, session: requests.Session) -> None:
        self.running, self.session, self.here = running, session, running.here
        self.calls: list[requests.PreparedRequest] = []
        session.hooks["response"].append(lambda answer, *_, **__: self.calls.append(answer.request))
        self.own = OwnStorage(f"{self.here.workspace.account.address}/", ACCOUNT, CONTAINER)

    def endpoint(self, name: str, known: Known | None = None, **changes: Any) -> AzureMLOnlineEndpoint:
        tokens, ours = Tokens(lambda: Credential(self.here)), self.here.workspace.id
        workspace = Workspace(self.session, tokens, self.running.address, ours)
        given = {"name": "online", "endpoint": name, "model": "income", "datastore": "kept", **changes}
        target = AzureMLOnlineTarget(workspace=ResourceId(ours), address=Address(self.running.address), **given)
        known = known or Known()
        scoring = Scoring(workspace, target, Checks(), ROWS, known.access)
        return AzureMLOnlineEndpoint(workspace, target, "income", scoring, self.own, known)

    def scored(self) -> list[int]:
        """Return how many rows each call of an endpoint had."""
        bodies = [json.loads(each.body or "") for each in self.calls if "/score/" in str(each.url)]
        return [len(each["data"] if "data" in each else each["input_data"]["data"]) for each in bodies]

    def order(self, kind: str, endpoint: str, **limits: Any) -> None:
        self.here.faults.order(Fault(kind=kind, endpoint=endpoint, count=1, **limits))

    def live(self, name: str, **properties: Any) -> None:
        """Make an endpoint whose deployment `blue` gives each row the label `aye`, and has all calls."""
        self.running.endpoint(name, **properties)
        self.running.deploy(name, "blue", model="models/aye/versions/1")
        self.running.endpoint(name, {"blue": 100}, **properties)


@pytest.fixture(scope="module")
def place(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("online")
    with serving(folder / "aml", one_azurite.connection_string) as running:
        publish(running.here, folder)
        container = container_of(running.here.workspace.account, CONTAINER)
        skops.io.dump(constant_model("nay"), folder / "model.skops")
        content = {NEW: (folder / "model.skops").read_bytes(), BROKEN: b"no model"}
        for model, each in content.items():
            container.upload_blob(f"{model.sha256}/model.skops", each, overwrite=True)
        container.upload_blob("code/score.py", OWN_SCRIPT.encode(), overwrite=True)
        store = {"datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": CONTAINER}
        running.here.put("datastores/kept", **store)
        running.here.put("codes/own/versions/1", codeUri="azureml://datastores/kept/paths/code/")
        place = Place(running, running.session)
        place.live("income")
        yield place


@pytest.fixture(autouse=True)
def no_faults(place: Place) -> Iterator[None]:
    yield
    place.here.faults.lift()


def labels(rows: Rows) -> list[str]:
    assert rows.columns == [LABELS]
    return [label for [label] in rows.values]


def staged(endpoint: AzureMLOnlineEndpoint, model: Model) -> None:
    until(lambda: endpoint.stage(model) == Ready(), lambda: f"it is ready: {endpoint.stage(model)}")


def shared(endpoint: AzureMLOnlineEndpoint, **shares: int) -> None:
    """Give the models shares, by the first letter of their SHA-256, to the end."""
    asked = {name * 64: share for name, share in shares.items()}
    until(lambda: endpoint.share(asked) is None, "the shares are read back")


def test_a_model_is_proven_before_anybody_is_served_then_shared_and_taken_back(place: Place) -> None:
    place.live("whole")
    endpoint = place.endpoint("whole")
    assert endpoint.model().address.endswith("/served/models/aye/")
    endpoint.adopt(OLD)
    staged(endpoint, NEW)
    assert labels(endpoint.score_staged(NEW, ROWS)) == ["nay", "nay"]
    assert labels(endpoint.score_staged(OLD, ROWS)) == ["aye", "aye"]
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]
    assert endpoint.shares().of == {OLD.sha256: 100}
    asked = {OLD.sha256: 90, NEW.sha256: 10}
    until(lambda: endpoint.share(asked) is None, "the shares are read back")
    answered = Counter(label for _ in range(20) for label in labels(endpoint.score(ROWS.at([0]))))
    assert answered == {"aye": 18, "nay": 2}
    shared(endpoint, e=100)
    assert labels(endpoint.score(ROWS)) == ["nay", "nay"]
    assert endpoint.model() == place.own.kept(NEW.sha256)
    until(lambda: endpoint.share({OLD.sha256: 100}) is None, "it is taken back by one write")
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]
    until(lambda: endpoint.drop(NEW) is None, "its deployment is deleted")
    assert set(endpoint.shares().of) == {OLD.sha256}


def test_a_model_that_cannot_be_loaded_is_refused_with_the_containers_log(place: Place) -> None:
    endpoint = place.endpoint("income")
    until(lambda: not isinstance(endpoint.stage(BROKEN), Pending), "it fails")
    refused = endpoint.stage(BROKEN)
    assert isinstance(refused, Refused) and "BadZipFile" in refused.reason, refused
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]
    until(lambda: endpoint.drop(BROKEN) is None, "its deployment is deleted")


def test_a_lack_of_quota_is_said_and_leaves_nothing(place: Place) -> None:
    endpoint = place.endpoint("income")
    place.order("out of quota", "income")
    until(lambda: not isinstance(endpoint.stage(NEW), Pending), "it fails")
    refused = endpoint.stage(NEW)
    assert isinstance(refused, Refused) and "OutOfQuota: Not enough quota" in refused.reason
    until(lambda: endpoint.drop(NEW) is None, "its deployment is deleted")
    assert [each.name for each in endpoint._deployments()] == ["blue"]


def test_a_deployment_that_serves_another_model_shows_that_when_it_is_scored(place: Place) -> None:
    endpoint = place.endpoint("income")
    place.order("deaf", f"m{NEW.sha256[:12]}")
    staged(endpoint, NEW)
    assert labels(endpoint.score_staged(NEW, ROWS)) == ["aye", "aye"]
    until(lambda: endpoint.drop(NEW) is None, "its deployment is deleted")


def test_shares_that_calls_do_not_follow_show_in_the_answers(place: Place) -> None:
    place.live("deaf")
    endpoint = place.endpoint("deaf")
    staged(endpoint, NEW)
    place.order("deaf", "deaf")
    shared(endpoint, e=100)
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]


@pytest.mark.parametrize("mode", ["Key", "AMLToken", "AADToken"])
def test_an_endpoint_is_called_by_what_its_mode_asks_for(
    place: Place, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"mode-{mode.lower()}"
    with caplog.at_level(logging.DEBUG):
        place.live(name, authMode=mode)
        known = Known()
        endpoint = place.endpoint(name, known)
        assert labels(endpoint.score(ROWS)) == ["aye", "aye"]
    assert known.access.mode == mode.lower()
    assert (known.access.secret is None) == (mode == "AADToken")
    secret = known.access.secret.reveal() if known.access.secret else "Bearer ey"
    assert secret not in caplog.text and secret not in repr(known)


def test_a_key_that_was_made_new_is_asked_for_once_more(place: Place) -> None:
    place.live("keys")
    known = Known()
    endpoint = place.endpoint("keys", known)
    endpoint.score(ROWS)
    former = known.access.secret
    place.running.made("POST", "onlineEndpoints/keys/regenerateKeys", {"keyType": "Primary"})
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]
    assert known.access.secret and former and known.access.secret.reveal() != former.reveal()
    place.here.faults.order(Fault(kind="expired token", operation="score"))
    with pytest.raises(AccessRefused):
        endpoint.score(ROWS)


def test_an_expired_token_of_the_identity_is_renewed_once(place: Place) -> None:
    place.live("identity", authMode="AADToken")
    endpoint = place.endpoint("identity")
    endpoint.score(ROWS)
    place.here.faults.order(Fault(kind="expired token", operation="score", count=1))
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]
    place.here.faults.order(Fault(kind="expired token", operation="score"))
    with pytest.raises(AccessRefused):
        endpoint.score(ROWS)


def test_rows_are_sent_in_pieces(place: Place) -> None:
    endpoint = place.endpoint("income")
    place.calls.clear()
    many = Rows(ROWS.columns, [[str(number), "0.5"] for number in range(1200)])
    assert labels(endpoint.score(many)) == ["aye"] * 1200
    assert place.scored() == [500, 500, 200]


def test_an_error_of_the_container_is_for_later_and_a_refusal_is_not(place: Place) -> None:
    endpoint = place.endpoint("income")
    place.order("model error", "income")
    with pytest.raises(ServiceUnavailable, match=r"the container answered 500 \(model_error\)"):
        endpoint.score(ROWS)
    with pytest.raises(ServiceRefused, match=r"The model cannot score these rows.*the container answered 400"):
        endpoint.score(Rows(["a", "b"], [["1", "x"]]))
    with pytest.raises(ServiceRefused, match=r"answered 404.*The endpoint has no deployment"):
        endpoint._scoring.score(ROWS, "nowhere")


@pytest.mark.parametrize("kind", ["throttled", "unavailable"])
def test_a_call_that_is_refused_for_now_is_for_later(place: Place, kind: str) -> None:
    endpoint = place.endpoint("income")
    place.order(kind, "income", operation="score", seconds=60)
    with pytest.raises(ServiceUnavailable) as raised:
        endpoint.score(ROWS)
    assert raised.value.retry_after == 60
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]


@pytest.mark.parametrize("kind", ["lost answer", "reset", "truncated"])
def test_a_lost_answer_of_a_call_is_for_later(place: Place, kind: str) -> None:
    endpoint = place.endpoint("income")
    place.order(kind, "income", operation="score")
    with pytest.raises((ServiceUnavailable, RetrainingError)):
        endpoint.score(ROWS)
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]


def test_traffic_that_somebody_dropped_is_refused_and_can_be_given_again(place: Place) -> None:
    place.live("dropped")
    endpoint = place.endpoint("dropped")
    endpoint.adopt(OLD)
    place.order("dropped traffic", "dropped")
    with pytest.raises(ServiceRefused, match="No deployment of the endpoint has positive traffic"):
        endpoint.score(ROWS)
    endpoint = place.endpoint("dropped")
    assert endpoint.shares().of == {}
    until(lambda: endpoint.share({OLD.sha256: 100}) is None, "it is given again")
    assert labels(endpoint.score(ROWS)) == ["aye", "aye"]


@pytest.fixture(scope="module")
def script(place: Place) -> AzureMLOnlineEndpoint:
    """An endpoint with a script of its user's, which is slow for more than 100 rows."""
    place.running.endpoint("script")
    code = {"codeId": f"{place.here.workspace.id}/codes/own/versions/1", "scoringScript": "score.py"}
    limits = {"requestTimeout": "PT1S", "maxConcurrentRequestsPerInstance": 8}
    place.running.deploy("script", "blue", codeConfiguration=code, requestSettings=limits)
    place.running.endpoint("script", {"blue": 100})
    return place.endpoint("script", scoring=OnlineScoring(form="json", body='{"data": {rows}}', answer="value"))


def test_an_own_script_is_asked_in_its_own_form(script: AzureMLOnlineEndpoint) -> None:
    assert script.score(ROWS).values == [["3.5"], ["2.0"]]
    with pytest.raises(ServiceUnavailable, match="the container answered 500"):
        script.score(Rows(["a", "b"], [["x", "1"]]))


def test_a_piece_that_takes_too_long_is_halved(place: Place, script: AzureMLOnlineEndpoint) -> None:
    place.calls.clear()
    many = Rows(ROWS.columns, [[str(number), "1"] for number in range(300)])
    assert script.score(many).values == [[f"{number + 1}.0"] for number in range(300)]
    assert place.scored() == [300, 150, 75, 75, 75, 75]


def test_a_piece_that_is_too_large_is_halved(place: Place, script: AzureMLOnlineEndpoint) -> None:
    place.calls.clear()
    wide = Rows([*ROWS.columns, "text"], [[str(number), "1", "x" * 200_000] for number in range(100)])
    assert len(script.score(wide).values) == 100
    assert place.scored() == [100, 50, 50]
    with pytest.raises(ServiceRefused, match="413"):
        script.score(Rows([*ROWS.columns, "text"], [["1", "1", "x" * (17 << 20)]]))
