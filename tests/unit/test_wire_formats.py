"""The adapters on the wire: every spelling that services use, every failure classified, no call elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from shared.adapters.storage.accounts import open_store
from shared.adapters.storage.reader import ConfiguredBlobReader
from shared.adapters.studio.arm_web_service import ArmWebService
from shared.adapters.studio.bes import BatchExecutionService, read_bes_job
from shared.adapters.studio.bes_details import innermost_message
from shared.adapters.studio.classic_endpoint import ClassicEndpoint
from shared.app import App
from shared.base.errors import (
    AccessRefused,
    BadConfiguration,
    RetrainingError,
    ServiceRefused,
    ServiceUnavailable,
    UnexpectedAnswer,
)
from shared.base.secret import Secret
from shared.base.settings import Settings
from shared.domain.ports import BlobReference, Cancelled, Failed, Finished, NotStarted, Running
from shared.domain.rows import Rows
from shared.domain.services import ClassicTarget, NewTarget, ScoringService, TrainingService
from shared.domain.values import Address, ResourceId
from studio.jobs.runner import details
from tests.support.waiting import PATIENCE
from tests.support.wire import Scripted, scripted_service

DATA = BlobReference("https://store.example/", "training-data/a.csv", Secret("?sig=S3CRET"))
RESULT = {"BaseLocation": "https://store.example/", "RelativeLocation": "c/x.ilearner", "SasBlobToken": "?sig=S3CRET"}
ERROR = {
    "error": {"code": "BadArgument", "message": "Invalid.", "details": [{"code": "InvalidBlob", "message": "No."}]}
}


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted_service() as running:
        yield running


def bes(service: Scripted) -> BatchExecutionService:
    training = TrainingService(
        address=Address(service.address), key=Secret("S3CRET"), model="output1", evaluation="output2"
    )
    return BatchExecutionService(requests.Session(), "income", training)


def scoring(service: Scripted) -> ScoringService:
    return ScoringService(address=Address(f"{service.address}/score"), key=Secret("S3CRET"))


def classic(service: Scripted) -> ClassicEndpoint:
    target = ClassicTarget(
        name="one",
        address=Address(f"{service.address}/endpoints/one"),
        key=Secret("S3CRET"),
        resource="Income [trained model]",
        scoring=scoring(service),
    )
    return ClassicEndpoint(requests.Session(), target)


def arm(service: Scripted) -> ArmWebService:
    target = NewTarget(
        name="two",
        address=Address(service.address),
        id=ResourceId("/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearning/webServices/w"),
        asset="Income [trained model]",
        scoring=scoring(service),
    )
    return ArmWebService(requests.Session(), target, lambda: "S3CRET")


def definition(**properties: object) -> dict[str, object]:
    asset = {
        "name": "Income [trained model]",
        "type": "Resource",
        "locationInfo": {"uri": "https://store.example/c/old"},
    }
    kept = {
        "packageType": "Graph",
        "title": "t",
        "createdOn": "2017",
        "provisioningState": "Succeeded",
        "storageAccount": {"name": "store"},
        "swaggerLocation": "https://x.example",
        "assets": {"asset1": asset},
    }
    return {"properties": {**kept, **properties}, "tags": {"team": "a"}}


@pytest.mark.parametrize(
    ("code", "state"),
    [
        *((code, NotStarted) for code in ("NotStarted", 0, "0")),
        *((code, Running) for code in ("Running", 1, "1")),
        *((code, Failed) for code in ("Failed", 2, "2")),
        *((code, Cancelled) for code in ("Cancelled", "Canceled", 3, "3")),
        *((code, Finished) for code in ("Finished", 4, "4")),
    ],
)
def test_a_status_is_known_by_name_and_by_number(code: object, state: type) -> None:
    assert isinstance(read_bes_job({"StatusCode": code, "Results": None, "Details": None}), state)


@pytest.mark.parametrize("code", ["Paused", None, 9, True])
def test_an_unknown_status_is_asked_for_again(code: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        read_bes_job({"StatusCode": code})


def test_a_service_that_imports_its_data_is_given_no_input(service: Scripted) -> None:
    service.answer(200, "job-1")
    assert bes(service).submit("job", None, {"Path": "batches/income/j/*"}) == "job-1"
    assert service.asked[-1][2] == {"GlobalParameters": {"Path": "batches/income/j/*"}}


def test_results_are_found_by_name_and_their_signature_is_not_seen() -> None:
    job = read_bes_job({"StatusCode": "Finished", "Results": {"output2": RESULT, "output1": RESULT}})
    assert isinstance(job, Finished)
    assert job.results["output1"].address == "https://store.example/c/x.ilearner"
    assert "S3CRET" not in repr(job)


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ('Module: Reader; {"Exception":{"Message":"outer","Exception":{"Message":"inner"}}}Error: x', "inner"),
        ('{"Exception":{"Message":"only"}}', "only"),
        ("no braces at all", "no braces at all"),
        ('{"half": ', '{"half":'),
        ("a {b} c", "a {b} c"),
    ],
)
def test_the_innermost_message_is_dug_out_of_the_details(details: str, shown: str) -> None:
    assert innermost_message(details) == shown


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, ERROR, ServiceRefused),
        (401, ERROR, AccessRefused),
        (403, b"", AccessRefused),
        (404, b"<html>", ServiceRefused),
        (408, b"", ServiceUnavailable),
        (429, b"", ServiceUnavailable),
        (500, ERROR, ServiceUnavailable),
        (503, b"", ServiceUnavailable),
        (302, b"", UnexpectedAnswer),
        (200, b"{cut of", UnexpectedAnswer),
        (200, ["a list"], UnexpectedAnswer),
    ],
)
def test_failures_are_classified_and_show_no_secret(
    service: Scripted, status: int, body: object, kind: type[RetrainingError]
) -> None:
    service.answer(status, body, Location="https://evil.example/", Retry_After="7")
    with pytest.raises(kind) as raised:
        bes(service).submit("job", DATA, {})
    assert "S3CRET" not in str(raised.value)
    assert len(service.asked) == 1
    if isinstance(raised.value, ServiceUnavailable):
        assert raised.value.retry_after == 7.0
    if body is ERROR:
        assert "BadArgument/InvalidBlob" in str(raised.value)


def test_no_proxy_of_the_machine_comes_between_a_key_and_its_service(
    service: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer(200, "job-1")
    with scripted_service() as proxy:
        proxy.answer(200, "job-2")
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("no_proxy", "")
        training = TrainingService(
            address=Address(service.address), key=Secret("key"), model="output1", evaluation="output2"
        )
        assert BatchExecutionService(App(Settings({}))._session, "income", training).submit("job", DATA, {}) == "job-1"
        assert proxy.asked == []


def test_a_session_shows_each_answer_to_who_observes_it_and_sends_no_cookie_back(service: Scripted) -> None:
    app = App(Settings({}))
    seen: list[requests.Response] = []
    app.observe(lambda answer, *_, **__: seen.append(answer))
    service.answer(200, {}, Set_Cookie="seen=1; Path=/")
    for _ in range(2):
        assert app._session.get(service.address, timeout=PATIENCE).json() == {}
    assert [answer.status_code for answer in seen] == [200, 200]
    assert "Cookie" not in seen[1].request.headers


def test_a_job_that_was_started_before_is_left_as_it_is(service: Scripted) -> None:
    detail = {"code": "CannotStartJob", "message": "The job cannot be started because it is in Running state."}
    service.answer(400, {"error": {"code": "InvalidOperation", "message": "x", "details": [detail]}})
    bes(service).start("1")


def test_a_malformed_job_id_is_not_put_into_an_address(service: Scripted) -> None:
    service.answer(200, "../../evil")
    with pytest.raises(UnexpectedAnswer, match="is not a job id"):
        bes(service).submit("job", DATA, {})


def test_a_classic_update_names_the_one_resource(service: Scripted) -> None:
    service.answer(200, b"")
    classic(service).update(DATA, lambda _: None)
    [(method, path, body)] = service.asked
    assert (method, path) == ("PATCH", "/endpoints/one")
    location = {"BaseLocation": DATA.base, "RelativeLocation": DATA.relative, "SasBlobToken": "?sig=S3CRET"}
    assert body == {"Resources": [{"Name": "Income [trained model]", "Location": location}]}


def test_a_missing_resource_names_the_existing_ones(service: Scripted) -> None:
    service.answer(200, {"Resources": [{"Name": "income [trained model]"}]})
    with pytest.raises(
        BadConfiguration, match=r"must match exactly\); 'income \[trained model\]' differs in case only; it has: "
    ):
        classic(service).model()


def test_a_definition_is_written_back_without_what_the_service_refuses_and_followed_to_its_end(
    service: Scripted,
) -> None:
    service.answer(200, definition())
    service.answer(200, {}, Azure_AsyncOperation=f"{service.address}/operations/1?api-version=2017-01-01")
    service.answer(200, {"status": "Provisioning"}, Retry_After="3")
    service.answer(200, {"status": "Succeeded"})
    waited: list[float] = []
    arm(service).update(DATA, waited.append)
    assert waited == [3.0]
    [_, (method, path, body), (_, first, _), _] = service.asked
    assert method == "PATCH"
    assert path.endswith("/webServices/w?api-version=2017-01-01")
    assert first == "/operations/1?api-version=2017-01-01"
    assert body["properties"].keys() == {"packageType", "title", "assets"}
    assert body["properties"]["assets"]["asset1"]["locationInfo"]["uri"] == DATA.address
    assert body["tags"] == {"team": "a"}


def test_an_update_keeps_what_somebody_else_changed_in_the_definition_since_it_was_looked_at(service: Scripted) -> None:
    web_service = arm(service)
    service.answer(200, definition())
    service.answer(200, definition(title="of another pipeline"))
    service.answer(200, {})
    service.answer(200, definition())
    web_service.model()
    web_service.update(DATA, lambda _: None)
    [written] = [body for method, _, body in service.asked if method == "PATCH"]
    assert written["properties"]["title"] == "of another pipeline"


@pytest.mark.parametrize(
    "operation",
    [
        {"status": "Failed", "error": {"code": "BlobNotFound", "message": "no blob"}},
        {"provisioningState": "Failed", "errorInfo": {"code": "BlobNotFound", "message": "no blob"}},
    ],
)
def test_an_update_that_fails_after_it_was_accepted_is_a_failure(service: Scripted, operation: object) -> None:
    service.answer(200, definition())
    service.answer(200, {}, Azure_AsyncOperation=f"{service.address}/operations/1")
    service.answer(200, operation)
    with pytest.raises(ServiceRefused, match="accepted and then Failed: BlobNotFound: no blob"):
        arm(service).update(DATA, lambda _: None)


def test_without_an_operation_the_service_itself_is_looked_at(service: Scripted) -> None:
    service.answer(200, definition())
    service.answer(200, {})
    service.answer(200, definition(provisioningState="Updating"))
    service.answer(200, definition(provisioningState="Succeeded"))
    waited: list[float] = []
    arm(service).update(DATA, waited.append)
    assert len(waited) == 1


def test_an_operation_elsewhere_is_not_followed(service: Scripted) -> None:
    service.answer(200, definition())
    service.answer(200, {}, Azure_AsyncOperation="https://evil.example/operations/1")
    with pytest.raises(UnexpectedAnswer, match=r"points to https://evil\.example:443, which the configuration"):
        arm(service).update(DATA, lambda _: None)
    assert len(service.asked) == 2


def test_an_address_in_which_libraries_find_different_hosts_leads_to_the_configured_one(service: Scripted) -> None:
    with scripted_service() as evil:
        evil.answer(200, {"status": "Succeeded"})
        service.answer(200, definition())
        there = f"{evil.address}\\@{service.address.removeprefix('http://')}/operations/1"
        service.answer(200, {}, Azure_AsyncOperation=there)
        service.answer(200, {"status": "Succeeded"})
        arm(service).update(DATA, lambda _: None)
        assert evil.asked == []
    assert service.asked[-1][1] == "/operations/1"


@pytest.mark.parametrize("address", ["https://[half", "https://host.example:99999999/x"])
def test_an_operation_at_no_address_is_asked_for_again(service: Scripted, address: str) -> None:
    service.answer(200, definition())
    service.answer(200, {}, Azure_AsyncOperation=address)
    with pytest.raises(UnexpectedAnswer, match="is not an address"):
        arm(service).update(DATA, lambda _: None)


def test_a_definition_in_a_blob_asks_for_a_human(service: Scripted) -> None:
    service.answer(200, definition(payloadsInBlobStorage=True))
    with pytest.raises(BadConfiguration, match="keeps its definition in a blob"):
        arm(service).model()


def test_only_the_scored_columns_are_answers(service: Scripted) -> None:
    value = {"ColumnNames": ["age", "Scored Labels"], "Values": [["39", "yes"]]}
    service.answer(200, {"Results": {"output1": {"type": "table", "value": value}}})
    assert classic(service).score(Rows(["age"], [["39"]])) == Rows(["Scored Labels"], [["yes"]])


def test_fewer_rows_than_were_asked_for_are_not_an_answer(service: Scripted) -> None:
    value = {"ColumnNames": ["age", "Scored Labels"], "Values": []}
    service.answer(200, {"Results": {"output1": {"type": "table", "value": value}}})
    with pytest.raises(UnexpectedAnswer, match="0 rows"):
        classic(service).score(Rows(["age"], [["39"]]))


def test_a_blob_is_read_only_where_the_configuration_allows_it(service: Scripted) -> None:
    own = open_store(Settings({"X__blobServiceUri": "https://own.example"}), "X")
    service.answer(200, b"model")
    reader = ConfiguredBlobReader(requests.Session(), [own], [service.address])
    assert b"".join(reader.read(BlobReference(service.address, "c/x", Secret("?sig=1")))) == b"model"
    for elsewhere in ("https://evil.example/", "https://own.example.evil.example/", f"{service.address}.evil.example/"):
        with pytest.raises(BadConfiguration, match="at no address that the configuration allows"):
            list(reader.read(BlobReference(elsewhere, "c/x", Secret("?sig=1"))))
    assert len(service.asked) == 1


@pytest.mark.parametrize("name", ["../secret/x", "c/%2e%2e/%2E%2e/secret/x", "..\\secret/x"])
def test_a_blob_outside_an_allowed_folder_is_not_read(service: Scripted, name: str) -> None:
    own = open_store(Settings({"X__blobServiceUri": "https://own.example"}), "X")
    reader = ConfiguredBlobReader(requests.Session(), [own], [f"{service.address}/results"])
    with pytest.raises(BadConfiguration, match="at no address that the configuration allows"):
        list(reader.read(BlobReference(f"{service.address}/results", name, Secret("?sig=1"))))
    assert service.asked == []


@pytest.mark.parametrize("sas", ["?sig=1", "sig=1", "/../secret/x?sig=1"])
def test_a_signature_never_changes_which_blob_is_read(service: Scripted, sas: str) -> None:
    own = open_store(Settings({"X__blobServiceUri": "https://own.example"}), "X")
    service.answer(200, b"model")
    reader = ConfiguredBlobReader(requests.Session(), [own], [service.address])
    list(reader.read(BlobReference(service.address, "c/x", Secret(sas))))
    [(_, path, _)] = service.asked
    assert path.partition("?")[0] == "/c/x"


def test_a_blob_that_breaks_off_is_not_a_model(service: Scripted) -> None:
    own = open_store(Settings({"X__blobServiceUri": "https://own.example"}), "X")
    service.answer(200, b"half", Content_Length="100")
    reader = ConfiguredBlobReader(requests.Session(), [own], [service.address])
    with pytest.raises(ServiceUnavailable):
        list(reader.read(BlobReference(service.address, "c/x", Secret("?sig=1"))))


STOPPED = "The server stopped while the job ran"


def test_a_job_that_the_stop_of_its_service_ended_is_distinguished_from_one_that_failed() -> None:
    stopped = details("Server", 0, "ServerStopped", STOPPED)
    assert read_bes_job({"StatusCode": "Failed", "Details": stopped}) == Failed(STOPPED, interrupted=True)
    failed = details("Server", 0, "ModuleExecutionError", "the module said: The server stopped")
    assert read_bes_job({"StatusCode": "Failed", "Details": failed}) == Failed("the module said: The server stopped")
