"""A live model that another program deployed is adopted: read, known by its hash, and never deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.base.errors import BadConfiguration, ServiceRefused, ServiceUnavailable
from shared.domain.ports import Pending, Ready
from tests.support.online import INCOME, MA, OWN, A, B, Place
from tests.support.waiting import until

DEPLOYMENTS = f"{INCOME}/deployments"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "aml")


def test_a_live_model_that_is_not_known_is_read_from_its_datastore(place: Place) -> None:
    reference = place.endpoint.model()
    container = place.get("datastores/workspaceblobstore")["properties"]["containerName"]
    assert reference.address == f"{OWN.address}{container}/first/model/"


def test_an_adopted_model_is_known_by_its_hash_and_may_be_dropped(place: Place) -> None:
    place.endpoint.model()
    place.endpoint.adopt(A)
    later = place.another()
    assert later.model() == OWN.kept(A.sha256)
    assert later.shares().of == {A.sha256: 100}
    assert later.describe(A)["deployment"] == "blue"
    before = len(place.wire.calls)
    later.adopt(A)
    assert {each.method for each in place.wire.calls[before:]} == {"GET"}
    place.staged(B)
    place.shared({B: 100})
    assert place.another().model() == OWN.kept(B.sha256)
    assert isinstance(place.another().drop(A), Pending)
    until(lambda: place.here.call("GET", f"{DEPLOYMENTS}/blue").status == 404, "it is deleted")


def test_a_version_is_not_adopted_as_two_models(place: Place) -> None:
    first = place.endpoint
    first.model()
    place.another().adopt(A)
    with pytest.raises(ServiceRefused, match="its content is b"):
        first.adopt(B)


def test_another_model_than_the_live_one_is_not_adopted(place: Place) -> None:
    place.staged(A)
    place.shared({A: 100})
    place.another().adopt(A)
    with pytest.raises(ServiceUnavailable, match="serves another model by now"):
        place.another().adopt(B)
    assert place.sent("PUT") == []


def test_a_live_version_that_was_deleted_is_said_to_be_missing(place: Place) -> None:
    assert place.here.call("DELETE", "models/income/versions/1").status in (200, 204)
    with pytest.raises(BadConfiguration, match=r"serves .*models/income/versions/1, which is not a model"):
        place.endpoint.model()


def test_adopting_keeps_the_tags_and_the_address_of_the_version(place: Place) -> None:
    before = place.get("models/income/versions/1")["properties"]
    place.register("1", modelUri=before["modelUri"], tags={"by": "hand"}, description="kept", properties={"a": "b"})
    before = place.get("models/income/versions/1")["properties"]
    place.endpoint.adopt(A)
    after = place.get("models/income/versions/1")["properties"]
    assert after.pop("tags") == {"by": "hand", "relearn.sha256": A.sha256, "relearn.adopted.income": "blue"}
    before.pop("tags")
    assert after == before


def test_a_test_deployment_of_a_known_model_is_not_deleted(place: Place) -> None:
    """A person may have deployed the version that this app took over, or one that it made, once more."""
    place.endpoint.adopt(A)
    place.staged(B)
    place.shared({B: 100})
    place.serve("theirs", f"{place.here.workspace.id}/models/income/versions/1")
    assert isinstance(place.another().drop(A), Pending)
    until(lambda: place.here.call("GET", f"{DEPLOYMENTS}/blue").status == 404, "what was live is deleted")
    with pytest.raises(ServiceRefused, match="delete it by hand"):
        place.another().drop(A)
    assert place.state(f"{DEPLOYMENTS}/theirs") == "Succeeded"


def test_the_other_model_of_a_taken_name_is_not_dropped(place: Place) -> None:
    place.serve(MA, f"{place.here.workspace.id}/models/income/versions/1")
    assert place.endpoint.drop(A) is None
    assert place.state(f"{DEPLOYMENTS}/{MA}") == "Succeeded"


def test_a_model_that_an_adopted_deployment_serves_needs_no_second_one(place: Place) -> None:
    place.endpoint.adopt(A)
    assert place.another().stage(A) == Ready()
    assert place.sent("PUT") == []


def test_where_a_model_is_served_is_said_without_a_call(place: Place) -> None:
    assert place.endpoint.describe(A) == {
        "workspace": place.here.workspace.identity.workspace,
        "endpoint": "income",
        "deployment": MA,
        "version": "income:aaaaaaaaaaaa",
    }
    assert place.wire.calls == []
