"""The Studio's handlers, called with a context and a call: what is refused, and what is done once only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.faults.orders import Fault
from service.keys import new_id
from studio.api import bes, classic, rrs
from studio.api.arm import plans
from studio.errors import StudioError
from studio.faults.orders import Faults
from studio.jobs.runner import JobRunner, Pace
from studio.learning.tables import Columns
from studio.state.records import FINAL, FORMER_AT_MOST, CommitmentPlan, Job, Reference, Resource, now
from tests.support.samples import cellar
from tests.support.studio_context import STORAGE, Handlers, handlers, model

OTHER = {"ConnectionString": STORAGE, "RelativeLocation": "new/b.ilearner"}

NOTHING: list[dict[str, Any]] = [
    {},
    {"Resourcez": [1]},
    {"Resources": []},
    {"Resources": None},
    {"Description": None},
]


@pytest.fixture
def studio(tmp_path: Path) -> Handlers:
    return handlers(tmp_path)


def refused(error: pytest.ExceptionInfo[StudioError]) -> tuple[int, str]:
    return error.value.status, error.value.detail


def table(rows: int = 2) -> dict[str, Any]:
    columns: Columns = cellar(rows)
    return {"ColumnNames": list(columns), "Values": [list(row) for row in zip(*columns.values(), strict=True)]}


def update(studio: Handlers, **members: Any) -> int:
    return classic.update(studio.context, studio.call(body=members)).status_code


def swap(studio: Handlers) -> int:
    studio.blobs.held["new/b.ilearner"] = model(seed=8)
    return update(studio, Resources=[{"Name": "Cellar [trained model]", "Location": OTHER}])


def test_an_update_swaps_the_model_that_it_names(studio: Handlers) -> None:
    before = studio.now().scorers[0].resource.sha256
    assert swap(studio) == 200
    assert studio.now().scorers[0].resource.sha256 != before


def former(studio: Handlers) -> list[str]:
    return [each.sha256 for each in studio.now().scorers[0].resource.former_models]


def test_a_replaced_model_is_kept_in_the_list_of_former_models_once(studio: Handlers) -> None:
    first = studio.now().scorers[0].resource
    swap(studio)
    swap(studio)  # its answer may have been lost
    [kept] = studio.now().scorers[0].resource.former_models
    assert (kept.sha256, kept.location, kept.updated) == (first.sha256, first.location.public(), None)
    assert kept.replaced >= studio.endpoint.created


def test_the_list_of_former_models_is_bounded(studio: Handlers) -> None:
    resource = studio.now().scorers[0].resource
    for number in range(FORMER_AT_MOST + 5):
        resource = resource.becoming(f"{number}", resource.location, 0.0).after(resource)
    newest = range(FORMER_AT_MOST + 3, 3, -1)
    assert [each.sha256 for each in resource.former_models] == [f"{number}" for number in newest]


def test_a_refresh_that_overwrites_adds_a_former_model_and_the_next_one_changes_nothing(studio: Handlers) -> None:
    deployed = studio.now().scorers[0].resource.sha256
    swap(studio)
    swapped = studio.now().scorers[0].resource.sha256

    def refresh(overwrite: str) -> int:
        call = studio.call(body={"OverwriteResources": overwrite})
        return classic.refresh(studio.context, call).status_code

    assert refresh("false") == 304
    assert former(studio) == [deployed]
    assert refresh("true") == 200
    assert former(studio) == [swapped, deployed]
    assert refresh("true") == 304
    assert former(studio) == [swapped, deployed]


def test_a_former_model_holds_no_secret_of_its_location() -> None:
    location = Reference(
        connection_string="AccountKey=secret",
        base_location="https://u:secret@store.example/account/?sig=secret",
        relative_location="/models/a.ilearner?sig=secret",
        sas_blob_token="?sig=secret",
    )
    first = Resource(name="m", location=location, sha256="a")
    written = msgspec.json.encode(first.becoming("b", Reference(), 0.0).after(first))
    assert b"secret" not in written
    assert b"https://store.example/account/" in written
    assert b"models/a.ilearner" in written


def test_a_resource_that_the_version_before_recorded_has_no_former_models() -> None:
    written = b"""{"name": "m", "location": {"RelativeLocation": "m/a.ilearner"}, "sha256": "b", "former": "a",
        "since": 0.0, "updated": "2026-01-02T03:04:05Z"}"""
    assert msgspec.json.decode(written, type=Resource).former_models == []


def test_an_endpoint_with_prevent_update_keeps_its_model_until_it_is_open_again(tmp_path: Path) -> None:
    studio = handlers(tmp_path, prevent_update=True)
    before = studio.now()
    with pytest.raises(StudioError, match="has PreventUpdate set") as error:
        swap(studio)
    assert refused(error) == (400, "UpdateWebServiceResourceFailed")
    with pytest.raises(StudioError, match="has PreventUpdate set"):
        classic.refresh(studio.context, studio.call(body={"OverwriteResources": "True"}))
    assert studio.now() == before
    assert update(studio, PreventUpdate="False") == 200
    assert swap(studio) == 200


@pytest.mark.parametrize("body", NOTHING)
def test_an_update_that_changes_nothing_is_refused_with_what_it_can_name(studio: Handlers, body: Any) -> None:
    with pytest.raises(StudioError, match=r"changes nothing\. An update can name: .*Description, .*Resources") as error:
        classic.update(studio.context, studio.call(body=body))
    assert refused(error) == (400, "RequestBodyInvalid")


@pytest.mark.parametrize("body", [{}, {"skuu": 1}, {"sku": {}}, {"tags": None, "sku": None}])
def test_a_patch_of_a_resource_that_names_nothing_is_refused(studio: Handlers, body: Any) -> None:
    identity = studio.context.studio.identity
    place = {"subscription": identity.subscription, "group": "relearn", "name": "plan"}
    arm_id = f"/subscriptions/{identity.subscription}/resourceGroups/relearn/providers/Microsoft.MachineLearning"
    plan = CommitmentPlan(
        id=f"{arm_id}/commitmentPlans/plan".lower(),
        name="plan",
        arm_id=arm_id,
        created=now(),
        location="South Central US",
        sku="S1",
        capacity=1,
        etag="",
    )
    studio.context.studio.records.put(plan)
    call = studio.call(place, body, key=identity.arm_token, query={"api-version": "2016-05-01-preview"})
    with pytest.raises(StudioError, match=r"It changes nothing\. It can name: tags, sku"):
        plans.patch(studio.context, call)
    assert studio.context.studio.records.get(CommitmentPlan, plan.id) == plan


def test_as_many_calls_as_the_endpoint_may_take_are_answered_and_one_more_is_throttled(studio: Handlers) -> None:
    most = studio.endpoint.max_concurrent_calls
    body = {"Inputs": {"input1": table()}}
    assert rrs.execute(studio.context, studio.call(body=body, at_once=most)).status_code == 200
    with pytest.raises(StudioError, match=f"The maximum concurrency for the endpoint is {most}") as error:
        rrs.execute(studio.context, studio.call(body=body, at_once=most + 1))
    assert refused(error) == (503, "RequestThrottled")


def test_a_fault_strikes_as_often_as_it_was_ordered_and_never_again() -> None:
    faults = Faults()
    faults.order(Fault(kind="no effect", count=2))
    strikes = [faults.strike("no effect", ["retrained"]) is not None for _ in range(4)]
    assert strikes == [True, True, False, False]
    [order] = faults.orders()
    assert (order.count, order.struck) == (0, 2)


def test_an_ordered_no_effect_is_used_up_by_the_update_that_it_strikes(studio: Handlers) -> None:
    studio.context.faults.order(Fault(kind="no effect", endpoint="retrained", count=1))
    assert update(studio, Description="first") == 200
    assert studio.now().description == ""
    assert update(studio, Description="second") == 200
    assert studio.now().description == "second"


def job(studio: Handlers, **members: Any) -> Job:
    kept = Job(id=new_id(), parent=studio.endpoint.id, inputs={}, outputs={}, parameters={}, **members)
    studio.context.studio.records.put(kept)
    return kept


def test_a_job_is_started_once(studio: Handlers) -> None:
    created = job(studio)
    call = studio.call({"job": created.id})
    assert bes.start(studio.context, call).status_code == 204
    with pytest.raises(StudioError, match="because it is in Queued state") as error:
        bes.start(studio.context, call)
    assert refused(error) == (400, "CannotStartJob")
    assert studio.jobs.taken == [created.id]


def test_a_job_is_created_once_it_is_known_to_be_right_and_waits_to_be_started(studio: Handlers) -> None:
    rows = {"ConnectionString": STORAGE, "RelativeLocation": "data/rows.csv"}
    call = studio.call(body={"Inputs": {"input1": rows}, "GlobalParameters": None})
    with pytest.raises(StudioError, match="Unable to access") as error:
        bes.create(studio.context, call)
    assert refused(error) == (400, "BlobNotFound")
    studio.blobs.held["data/rows.csv"] = b"a\n1\n"
    bes.create(studio.context, call)
    [created] = studio.context.studio.records.all(Job)
    assert (created.state, created.queued, studio.jobs.taken) == ("NotStarted", None, [])


def test_a_job_that_was_cancelled_stays_cancelled_when_its_process_finishes(studio: Handlers) -> None:
    running = job(studio, state="Running", queued=1.0)
    assert bes.cancel(studio.context, studio.call({"job": running.id})).status_code == 204
    runner = JobRunner(studio.context.studio.records, studio.context.studio.folder, STORAGE, Faults(), Pace())
    runner.end(running.id, "Finished", {"output1": Reference(relative_location="a/b.csv")})
    runner.end(running.id, "Failed", "it died")
    kept = studio.context.studio.records.get(Job, running.id)
    assert (kept.state, kept.results, kept.details) == ("Cancelled", {}, None)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_job_that_has_ended_is_not_cancelled(studio: Handlers, state: str) -> None:
    ended = job(studio, state=state, queued=1.0)
    assert bes.cancel(studio.context, studio.call({"job": ended.id})).status_code == 204
    assert studio.context.studio.records.get(Job, ended.id) == ended


def test_a_job_of_another_endpoint_is_not_found(studio: Handlers) -> None:
    stranger = Job(id=new_id(), parent=new_id(), inputs={}, outputs={}, parameters={})
    studio.context.studio.records.put(stranger)
    with pytest.raises(StudioError) as error:
        bes.cancel(studio.context, studio.call({"job": stranger.id}))
    assert refused(error) == (404, "JobNotFound")


def test_no_record_shows_a_key(studio: Handlers) -> None:
    reference = Reference(connection_string=STORAGE, relative_location="a/b.csv", sas_blob_token="?sig=S3CRET")
    records = [studio.endpoint, studio.context.studio.identity, studio.context.studio.workspace, reference]
    shown = repr(records)
    for key in (studio.endpoint.primary_key, studio.context.studio.identity.arm_token, "Zm9v", "S3CRET"):
        assert key not in shown
