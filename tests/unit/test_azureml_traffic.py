"""The shares of an online endpoint: how they are read, written and read back, and what a write leaves as it was."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.faults.orders import Fault
from shared.adapters.azureml.online import SETTLING, UPDATE_SECONDS, YOUNG
from shared.adapters.azureml.workspace import Workspace
from shared.base.errors import RetrainingError, ServiceRefused, ServiceUnavailable
from shared.domain.jobs import Model
from shared.domain.ports import BlobReference, Pending, Ready, Shares
from shared.domain.rows import Rows
from shared.domain.sharing import given_calls
from tests.support import aml_models
from tests.support.online import INCOME, MA, MB, OWN, A, B, Place, with_staged
from tests.support.serving import endpoint_body
from tests.support.waiting import until

RECORDED = aml_models.FOLDER / "mlclient-recorded"

STEPS = [(90, 10), (50, 50), (0, 100)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return with_staged(tmp_path / "aml")


def test_shares_are_by_model_and_those_of_others_by_deployment(place: Place) -> None:
    place.serve("theirs", f"{place.here.workspace.id}/models/other/versions/1")
    place.serve("code", "")
    place.write(endpoint_body({"blue": 70, MB: 20, "theirs": 10}))
    found = place.endpoint.shares()
    assert found == Shares({A.sha256: 70, B.sha256: 20, "theirs": 10}, settled=True)
    place.change(state="Updating")
    assert not place.another().shares().settled


def test_two_deployments_of_one_model_have_one_share(place: Place) -> None:
    place.serve("second", f"{place.here.workspace.id}/models/income/versions/1")
    place.write(endpoint_body({"blue": 70, "second": 30}))
    assert place.endpoint.shares().of == {A.sha256: 100}


def test_names_are_compared_without_case(place: Place) -> None:
    place.serve("Prod", f"{place.here.workspace.id.upper()}/MODELS/Income/Versions/1")
    place.write(endpoint_body({"Prod": 100}))
    place.change(traffic={"PROD": 100}, properties={**place.get(INCOME)["properties"], "traffic": {"PROD": 100}})
    assert place.another().shares().of[A.sha256] == 100


def test_shares_are_given_in_steps_and_read_back(place: Place) -> None:
    for old, new in STEPS:
        asked = {A.sha256: old, B.sha256: new}
        assert isinstance(place.endpoint.share(asked), Pending)
        place.settled()
        assert place.endpoint.share(asked) is None
        assert place.another().share(asked) is None
        assert place.endpoint.shares().of == given_calls(asked)
    assert place.maps() == ({MB: 100}, {})


def test_the_shares_of_an_endpoint_are_100_per_cent(place: Place) -> None:
    with pytest.raises(ValueError, match="not 90"):
        place.endpoint.share({A.sha256: 80, B.sha256: 10})
    assert place.wire.calls == []


def test_a_model_without_a_deployment_gets_no_share(place: Place) -> None:
    with pytest.raises(ServiceRefused, match="No deployment of income serves the model cccccccccccc"):
        place.endpoint.share({"c" * 64: 100})
    assert place.maps() == ({"blue": 100}, {})


def test_a_write_leaves_all_but_the_shares_as_it_was(place: Place) -> None:
    place.serve("theirs", f"{place.here.workspace.id}/models/other/versions/1")
    body = endpoint_body(
        {"blue": 100},
        mirrorTraffic={"theirs": 5},
        description="of the bank",
        publicNetworkAccess="Disabled",
        properties={"enforce_access_to_default_secret_stores": "enabled"},
        compute="cluster",
    )
    assigned = {f"{place.here.workspace.id}/userAssignedIdentities/one": {}}
    identity = {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": assigned}
    place.write({**body, "tags": {"cost": "42"}, "identity": identity})
    before = place.get(INCOME)
    place.shared({A: 60, B: 40})
    after = place.get(INCOME)
    assert after["properties"].pop("traffic") == {"blue": 60, MB: 40}
    assert before["properties"].pop("traffic") == {"blue": 100}
    for each in (before, after):
        each.pop("systemData"), each["properties"]["properties"].pop("AzureAsyncOperationUri")
    assert after == before
    [sent] = [each.body for each in place.wire.calls if each.method == "PUT"]
    assert sent["identity"] == identity
    assert not {"id", "name", "type", "systemData"} & sent.keys()
    assert not {"scoringUri", "swaggerUri", "provisioningState"} & sent["properties"].keys()


def test_mirrored_calls_are_given_and_taken_away_again(place: Place) -> None:
    place.shared({A: 100}, {B: 10})
    assert place.maps() == ({"blue": 100}, {MB: 10})
    assert place.another().share({A.sha256: 100}, {B.sha256: 10}) is None
    place.shared({A: 90, B: 10})
    assert place.maps() == ({"blue": 90, MB: 10}, {})
    place.shared({A: 100}, {B: 10})
    place.shared({A: 100})
    assert place.maps() == ({"blue": 100}, {})


def test_a_write_is_for_later_while_the_endpoint_is_changed(place: Place) -> None:
    place.change(state="Updating")
    assert isinstance(place.endpoint.share({B.sha256: 100}), Pending)
    assert place.sent("PUT") == []
    place.change(state="Succeeded")
    place.here.faults.order(Fault(kind="updating", count=1))
    assert isinstance(place.endpoint.share({B.sha256: 100}), Pending)
    assert place.maps() == ({"blue": 100}, {})
    place.shared({B: 100})
    assert place.maps() == ({MB: 100}, {})


@pytest.mark.parametrize("kind", ["throttled", "unavailable"])
def test_a_long_wait_that_the_service_asks_for_is_for_the_flow(place: Place, kind: str) -> None:
    place.here.faults.order(Fault(kind=kind, count=1, seconds=60, operation="arm.onlineEndpoints.put"))
    with pytest.raises(ServiceUnavailable) as raised:
        place.endpoint.share({B.sha256: 100})
    assert raised.value.retry_after == 60
    place.shared({B: 100})
    assert place.maps() == ({MB: 100}, {})


def test_a_lost_answer_writes_the_shares_once(place: Place) -> None:
    place.wire.lost = f"PUT {INCOME}"
    with pytest.raises(ServiceUnavailable):
        place.endpoint.share({A.sha256: 50, B.sha256: 50})
    place.settled()
    assert place.endpoint.share({A.sha256: 50, B.sha256: 50}) is None
    assert place.sent("PUT") == [INCOME]


def test_shares_that_are_read_late_are_not_written_again(place: Place) -> None:
    place.here.faults.order(Fault(kind="late", count=1, seconds=1.0))
    assert isinstance(place.endpoint.share({B.sha256: 100}), Pending)
    place.settled()
    assert isinstance(place.another().share({B.sha256: 100}), Pending)
    assert place.sent("PUT") == []
    until(lambda: place.maps() == ({MB: 100}, {}), "they are read as written")
    assert place.another().share({B.sha256: 100}) is None


def test_shares_that_are_never_applied_are_written_again_after_a_while(place: Place) -> None:
    place.here.faults.order(Fault(kind="no effect", count=1))
    assert isinstance(place.endpoint.share({B.sha256: 100}), Pending)
    place.settled()
    assert isinstance(place.endpoint.share({B.sha256: 100}), Pending)
    assert place.maps() == ({"blue": 100}, {})
    place.clock.seconds += SETTLING
    place.shared({B: 100})
    assert place.maps() == ({MB: 100}, {})
    assert place.sent("PUT") == [INCOME, INCOME]


def test_a_revert_does_not_wait_for_shares_to_be_read(place: Place) -> None:
    place.here.faults.order(Fault(kind="no effect", count=1))
    assert isinstance(place.endpoint.share({A.sha256: 90, B.sha256: 10}), Pending)
    place.settled()
    place.shared({A: 100})
    assert place.sent("PUT") == [INCOME, INCOME], "the first one may still take effect"
    place.shared({A: 90, B: 10})
    assert isinstance(place.endpoint.share({A.sha256: 100}), Pending)
    place.settled()
    assert place.maps() == ({"blue": 100}, {})


def test_a_failed_change_of_the_shares_is_written_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.here.faults.order(Fault(kind="failing operation", endpoint="income", count=1))
    assert isinstance(place.endpoint.share({B.sha256: 100}), Pending)
    place.settled()
    assert place.state(INCOME) == "Failed" and place.maps() == ({MB: 100}, {})  # asked for, and not applied
    assert isinstance(place.endpoint.share({B.sha256: 100}), Pending)
    assert "The operation failed on order." in caplog.text
    place.settled()
    assert place.endpoint.share({B.sha256: 100}) is None


def test_a_change_of_somebody_else_between_read_and_write_is_found(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service takes one write at a time, so the later one is refused, and what is read then is the other's map."""
    put = Workspace.put

    def after_another(self: Workspace, path: str, body: Any, **headers: str) -> Any:
        monkeypatch.setattr(Workspace, "put", put)
        there = place.get(INCOME)
        place.here.call("PUT", INCOME, {**there, "properties": {**there["properties"], "traffic": {MB: 100}}})
        place.settled()
        place.change(state="Updating")
        return self.put(path, body, **headers)

    monkeypatch.setattr(Workspace, "put", after_another)
    assert isinstance(place.endpoint.share({A.sha256: 90, B.sha256: 10}), Pending)
    place.change(state="Succeeded")
    assert place.endpoint.shares().of == {B.sha256: 100}


def test_a_change_of_somebody_else_after_the_write_is_found(place: Place) -> None:
    assert isinstance(place.endpoint.share({A.sha256: 90, B.sha256: 10}), Pending)
    place.settled()
    place.write(endpoint_body({"blue": 20, MB: 80}))
    assert isinstance(place.endpoint.share({A.sha256: 90, B.sha256: 10}), Pending)
    assert place.maps()[0] == {"blue": 20, MB: 80}, "it is not overwritten at once: a flow reads the shares first"
    assert place.endpoint.shares().of == {A.sha256: 20, B.sha256: 80}
    assert isinstance(place.endpoint.share({A.sha256: 90, B.sha256: 10}), Pending)
    assert place.maps()[0] == {"blue": 90, MB: 10}, "a flow that has read them gives its own again"


def test_an_update_gives_the_model_all_calls(place: Place) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        place.settled()

    place.endpoint.update(BlobReference(OWN.address, f"models/{B.sha256}/"), wait)
    assert place.maps() == ({MB: 100}, {}) and len(waits) == 1
    place.endpoint.update(OWN.kept(B.sha256), wait)
    assert len(waits) == 1


def test_an_update_that_does_not_end_is_given_up(place: Place) -> None:
    place.change(state="Updating", modified=datetime.now(UTC) - timedelta(hours=1))
    waits: list[float] = []
    with pytest.raises(ServiceUnavailable, match="not as it was written"):
        place.endpoint.update(OWN.kept(B.sha256), waits.append)
    assert sum(waits) == UPDATE_SECONDS


def test_a_promotion_takes_few_calls(place: Place) -> None:
    """With three steps, of a model that follows one that this app promoted, and that is then deleted."""
    place.shared({B: 100})
    model, former = Model(sha256="c" * 64, size=1, folder=True), B
    calls: list[tuple[str, str]] = []

    def used() -> None:
        calls.extend((each.method, each.path) for each in place.wire.calls)
        place.endpoint = place.another()

    place.endpoint = place.another()
    assert place.endpoint.model() == OWN.kept(former.sha256)
    used()
    place.endpoint.stage(model)
    used()
    place.end("m" + "c" * 12)
    assert place.endpoint.stage(model) == Ready()
    used()
    for new in (10, 50, 100):
        asked = {former.sha256: 100 - new, model.sha256: new}
        assert place.endpoint.share(asked)
        used()
        place.settled()
        assert place.endpoint.share(asked) is None
        used()
    assert place.endpoint.drop(former)
    used()
    until(lambda: place.here.call("GET", f"{INCOME}/deployments/{MB}").status == 404, "it is deleted")
    assert place.endpoint.drop(former) is None
    used()
    writes = [each for each in calls if each[0] != "GET"]
    assert len(writes) == 6
    assert len(calls) - len(writes) == 15


def test_shares_and_a_write_that_follow_each_other_read_the_endpoint_once_and_list_nothing(place: Place) -> None:
    assert place.endpoint.stage(B) == Ready()
    place.endpoint = place.another()
    place.endpoint.shares()
    assert isinstance(place.endpoint.share({A.sha256: 90, B.sha256: 10}), Pending)
    assert [(each.method, each.path) for each in place.wire.calls] == [("GET", INCOME), ("PUT", INCOME)]
    place.settled()
    assert place.endpoint.share({A.sha256: 90, B.sha256: 10}) is None
    assert place.sent("GET") == [INCOME, INCOME], "after a write it is read again"


def test_the_revert_is_written_although_the_shares_before_are_still_read(place: Place) -> None:
    place.here.faults.order(Fault(kind="late", count=1, seconds=3600))
    assert isinstance(place.endpoint.share({A.sha256: 90, B.sha256: 10}), Pending)
    place.settled()
    assert place.another().shares().of == {A.sha256: 100}, "the write is not to be seen yet"
    assert isinstance(place.another().share({A.sha256: 100}), Pending)
    assert place.sent("PUT") == [INCOME]
    place.settled()
    assert place.another().share({A.sha256: 100}) is None


def test_what_was_read_a_while_ago_is_read_again_before_a_write(place: Place) -> None:
    place.endpoint.shares()
    place.write(endpoint_body({"blue": 20, MB: 80}))
    place.clock.seconds += YOUNG
    assert place.endpoint.shares().of == {A.sha256: 20, B.sha256: 80}


def test_a_deployment_that_somebody_made_meanwhile_is_listed_once_it_has_calls(place: Place) -> None:
    place.endpoint.shares()
    place.serve("theirs", f"{place.here.workspace.id}/models/income/versions/1")
    place.write(endpoint_body({"theirs": 100}))
    assert place.another().shares().of == {A.sha256: 100}


def test_a_deployment_that_is_gone_is_looked_for_again_after_its_call_was_refused(place: Place) -> None:
    rows = Rows(["a"], [["1"]])
    place.known.names[A.sha256] = "gone"
    with pytest.raises(ServiceRefused):
        place.endpoint.score_staged(A, rows)
    assert not [each for each in place.sent("GET") if each.endswith("/deployments")]
    with pytest.raises(RetrainingError):  # nothing runs here that answers
        place.endpoint.score_staged(A, rows)
    assert place.known.names[A.sha256] == "blue"


def test_an_endpoint_without_an_address_cannot_be_called_yet(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "get", lambda *_: {"properties": {"authMode": "Key"}})
    place.known.access.address = ""
    with pytest.raises(ServiceUnavailable, match="has no address for its calls yet"):
        place.endpoint.score(Rows(["a"], [["1"]]))


def test_no_call_is_made_twice_for_one_answer(place: Place) -> None:
    """Three deployments of versions that this app did not register, two of them of one version."""
    other = f"{place.here.workspace.id}/models/other/versions"
    for name, version in (("x", "1"), ("y", "1"), ("z", "2")):
        place.here.put(f"models/other/versions/{version}", modelUri="azureml://datastores/models/paths/x/")
        place.serve(name, f"{other}/{version}")
    for ask in (place.endpoint.shares, place.endpoint.model, lambda: place.endpoint.stage(B)):
        place.wire.calls.clear()
        ask()
        paths = [each.path for each in place.wire.calls]
        assert len(paths) == len(set(paths)) and len(paths) <= 5


@pytest.mark.skipif(
    not RECORDED.exists(), reason=f"{RECORDED} is not there: the official client's calls are not compared"
)
def test_shares_are_written_as_the_official_client_writes_them(place: Place) -> None:
    place.shared({A: 90, B: 10})
    [sent] = [each.body for each in place.wire.calls if each.method == "PUT"]
    theirs = json.loads((RECORDED / "07-put-onlineendpoints-income.json").read_text("utf-8"))["body"]
    ours = copy.deepcopy(sent)
    assert ours["properties"].pop("traffic") == {"blue": 90, MB: 10}
    assert theirs["properties"].pop("traffic") == {"blue": 90, "green": 10}
    # What this app has read is written too; the client leaves out the members that it does not know.
    assert ours.keys() - theirs.keys() == {"kind"}
    assert ours["properties"].keys() - theirs["properties"].keys() == {"publicNetworkAccess"}
    for each in (ours["properties"], theirs["properties"]):
        each.pop("publicNetworkAccess", None), each.pop("properties")
    assert {name: ours[name] for name in theirs} == theirs
    place.shared({B: 100})
    sent = next(each.body for each in reversed(place.wire.calls) if each.method == "PUT")
    theirs = json.loads((RECORDED / "15-put-onlineendpoints-income.json").read_text("utf-8"))["body"]
    assert theirs["properties"]["traffic"] == {"green": 100} and sent["properties"]["traffic"] == {MB: 100}
    assert MA not in json.dumps(sent)
