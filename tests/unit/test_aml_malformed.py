"""No request is answered 500, and every refusal has the documented shape, whatever comes at whatever address."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from azure.storage.blob import ExponentialRetry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from aml import page
from aml.identity import tokens
from aml.runs.protocol import METHODS
from aml.runs.real import RealMlflow
from aml.server import ADDRESSES, build
from aml.serving.changes import Pace
from aml.state.runs import LoggedModel, Run, experiment_of
from aml.state.serving import Endpoint
from aml.storage import accounts
from tests.support import batch
from tests.support.aml import MODEL, PORT, Here, refusal
from tests.support.asgi import ask
from tests.support.batch import DATA
from tests.support.serving import endpoint_body
from tests.support.waiting import until

HOSTILE = ["", " ", "\x00", "../../etc", "azureml://", "azureml://jobs/../outputs", "${{inputs.x}}", "a" * 3000]
NAMES_AT_MOST = max(path.count("{") for _, _, path, _ in ADDRESSES)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**40, -1, 2**63, 1e308, float("nan")])
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(HOSTILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PART = st.sampled_from(["..", "%00", "\x00", "'", "ÿ", "income", "1", "A" * 300]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12
)
QUERY = st.sampled_from(
    [
        "$skip=x",
        "name=income&version=1",
        "max_results=0",
        "page_token=x",
        "filter=a",
        "order_by=,",
        "$top=0",
        "count=-1",
        "listViewType=a",
        "tags=,=",
        "$orderBy=a",
        "hash=%00",
        "",
    ]
)
#: members of MLflow's calls. No path names the run: its artifacts are in a storage that is not there
_MLFLOW = {
    "name": "income", "version": "1", "source": "models:/a/1", "run_id": "one", "experiment_id": "1", "tags": [],
    "key": "a", "value": 1, "alias": "a", "stage": "None", "filter": "name = 'a'", "order_by": ["name"], "status": "a",
    "metrics": [{"key": "a", "value": 1, "step": 0}], "params": [{"key": "a", "value": "b"}],
    "models": [{"model_id": "income"}],
    "datasets": [{"dataset": {"name": "a", "digest": "b", "source_type": "c", "source": "d"}, "tags": []}],
    "max_results": 1, "page_token": "0", "model_json": "{}", "new_name": "b", "experiment_ids": ["1"],
}  # fmt: skip
#: right bodies, whose members are replaced one by one
BODIES: list[dict[str, Any]] = [
    {"properties": {**MODEL, "tags": {"a": "b"}, "isArchived": False}},
    {"properties": {"datastoreType": "AzureBlob", "accountName": "devstoreaccount1", "containerName": "a"}},
    {"properties": {"computeType": "AmlCompute", "properties": {"scaleSettings": {"maxNodeCount": 2}}}},
    {"properties": {"authMode": "Key", "traffic": {"blue": 100}, "mirrorTraffic": {}}, "identity": {"type": "None"}},
    {"properties": {"endpointComputeType": "Managed", "model": "a", "requestSettings": {}, "livenessProbe": {}}},
    {"properties": {"keys": {}}, "keyType": "Primary", "keyValue": "a", "tail": 1, "sku": {"capacity": 1}, "tags": {}},
    {"properties": {"authMode": "AADToken", "defaults": {"deploymentName": "income"}}, "identity": {"type": "None"}},
    {"properties": {"deploymentConfiguration": {}, "retrySettings": {}, "miniBatchSize": 1, "description": "a"}},
    {"properties": {"inputData": {"data": DATA}, "outputData": {}, "properties": {}, "tags": {}, "name": "a"}},
    {"properties": {"key": "a", "model_id": "income"}, **_MLFLOW},
    {"properties": {"componentSpec": {"type": "command"}, "image": "a", "codeUri": "b", "dataType": "uri_file"}},
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    with pytest.MonkeyPatch.context() as patched:
        # No storage listens: each of the thousands of calls would try it again, for seconds.
        patched.setattr(
            accounts, "ExponentialRetry", lambda **options: ExponentialRetry(**{**options, "retry_total": 0})
        )
        here = Here(tmp_path_factory.mktemp("aml"), pace=Pace(deployment=3600), typed=False)
    here.put("models/a/versions/1", **MODEL)
    records = here.workspace.records
    experiment = experiment_of(records, "a").id
    records.put(Run(id="one", parent=experiment, name="one", title="a", started=0))
    records.put(LoggedModel(id="income", parent=experiment, name="a", artifacts="a", created=0, modified=0))
    here.put("models/income/versions/1", **MODEL)
    income(here)
    batch.publish(here)
    batch.made(here, "batchEndpoints/income")
    batch.made(here, "batchEndpoints/income/deployments/income", **batch.deployment(here))
    return here


def income(here: Here) -> Endpoint:
    """Return the endpoint, with a deployment that is not ready. It is made again where a call has deleted it."""
    path = "onlineEndpoints/income"
    here.call("PUT", path, endpoint_body())
    until(lambda: "income" in here.serving.routes, "the endpoint is made")
    model = {"endpointComputeType": "Managed", "model": f"{here.workspace.id}/models/a/versions/1"}
    here.call("PUT", f"{path}/deployments/income", {"properties": model})
    found = here.workspace.records.find(Endpoint, path.lower())
    assert found is not None
    return found


@pytest.fixture
def endpoint(here: Here) -> Endpoint:
    return income(here)


@pytest.fixture(scope="module")
def in_front_of_mlflow(here: Here) -> ASGIApp:
    """The workspace before a real MLflow server that has not started."""
    return build(replace(here.context, mlflow=RealMlflow(here.workspace.folder, "python", lambda _: None)))


@dataclass(frozen=True)
class Sent:
    """What is malformed in a call."""

    names: list[str]
    query: str
    body: bytes


@pytest.fixture(scope="module")
def malformed() -> list[Sent]:
    """What calls may send. It is drawn once for all addresses, as drawing takes longer than a call."""
    drawn: list[Sent] = []

    @settings(max_examples=200, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        body = json.dumps(_body(data)).encode() if data.draw(st.booleans()) else data.draw(st.binary(max_size=30))
        drawn.append(Sent([data.draw(PART) for _ in range(NAMES_AT_MOST)], data.draw(QUERY), body))

    draw()
    return drawn


@pytest.mark.parametrize(("method", "path"), sorted({each[1:3] for each in ADDRESSES}))
def test_a_malformed_request_is_refused_in_the_documented_shape(
    here: Here, malformed: list[Sent], method: str, path: str
) -> None:
    known = here.workspace.identity
    right = {"subscription": known.subscription, "group": known.group, "workspace": known.workspace}
    headers = {"Authorization": f"Bearer {here.token}", "X-IDENTITY-HEADER": known.identity_header}
    for sent in Random(f"{method} {path}").sample(malformed, 20):
        drawn = dict(zip(re.findall(r"{(\w+)", path), sent.names, strict=False))
        names = {name: re.sub("[/?#]", "", text) or "x" for name, text in drawn.items()} | right
        place = f"{path.replace(':path}', '}').format_map(names)}?api-version=2025-12-01&{sent.query}"
        answer = ask(here.app, method, place, headers, [] if method == "GET" else [sent.body], PORT)
        reached_the_storage = path.endswith("/startPendingUpload") and answer.status == 503
        assert answer.status < 500 or (reached_the_storage and _is_right_for_an_upload(sent)), (sent, answer.body)
        if answer.status >= 400:
            refusal(answer)


@pytest.mark.parametrize("body", [b"", b"~", b"[]", b'{"pendingUploadType": "None"}', b'{"pendingUploadType": 1}'])
def test_an_upload_with_a_wrong_body_is_refused_before_the_storage_is_asked(here: Here, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {here.token}"}
    place = f"{here.workspace.id}/codes/a/versions/1/startPendingUpload?api-version=2025-12-01"
    right = ask(here.app, "POST", place, headers, [b'{"pendingUploadType": "TemporaryBlobReference"}'], PORT)
    assert (right.status, refusal(right)[1]) == (503, "StorageError")  # no storage listens
    assert ask(here.app, "POST", place, headers, [body], PORT).status == 400


def _is_right_for_an_upload(sent: Sent) -> bool:
    """Tell whether a call to begin an upload is right, so that it gets as far as the storage, which is not there."""
    try:
        return isinstance(json.loads(sent.body), dict)
    except ValueError:
        return False


@settings(max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_malformed_call_of_an_endpoint_is_refused_in_the_documented_shape(
    here: Here, endpoint: Endpoint, data: st.DataObject
) -> None:
    headers = {"Authorization": f"Bearer {data.draw(st.sampled_from([endpoint.primary, here.token, '']) | PART)}"}
    if data.draw(st.booleans()):
        headers["azureml-model-deployment"] = data.draw(PART)
    place = f"/score/{data.draw(st.just('income') | PART)}?{data.draw(QUERY)}"
    body = json.dumps(_body(data)).encode() if data.draw(st.booleans()) else data.draw(st.binary(max_size=30))
    answer = ask(here.app, data.draw(st.sampled_from(["POST", "GET"])), place, headers, [body], PORT)
    assert 400 <= answer.status < 500, answer.body  # its deployment is not ready
    refusal(answer)


@settings(max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_malformed_call_of_the_storage_is_refused_in_its_shape(here: Here, data: st.DataObject) -> None:
    account = here.workspace.account
    token = tokens.issue(here.workspace.identity, "https://storage.azure.com")[0]
    headers = {
        "Host": f"{account.name}.blob.{account.suffix}",
        "Authorization": data.draw(st.sampled_from([f"Bearer {token}", "SharedKey a:b", "Bearer", ""])),
        "x-ms-meta-a": data.draw(PART),
    }
    place = f"/{data.draw(PART)}/{data.draw(PART)}?{data.draw(QUERY)}"
    method = data.draw(st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]))
    answer = ask(here.app, method, place, headers, [data.draw(st.binary(max_size=30))], PORT)
    assert answer.status in (400, 401, 503), answer.body  # the storage is not there
    assert ElementTree.fromstring(answer.body).findtext("Code") == answer.headers["x-ms-error-code"]


@settings(max_examples=40, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_malformed_call_before_mlflows_server_answers_is_refused_in_its_shape(
    here: Here, in_front_of_mlflow: ASGIApp, data: st.DataObject
) -> None:
    rest = data.draw(st.sampled_from(["api/2.0/mlflow/runs/log-batch", "api/2.0/mlflow-artifacts/artifacts/a", "a"]))
    place = f"/mlflow/v1.0{here.workspace.id}/{rest}?{data.draw(QUERY)}"
    body = json.dumps(_body(data)).encode() if data.draw(st.booleans()) else data.draw(st.binary(max_size=30))
    headers = {"Authorization": f"Bearer {here.token}"}
    method = data.draw(st.sampled_from(METHODS))
    answer = ask(in_front_of_mlflow, method, place, headers, [body], PORT)
    assert refusal(answer)[0] in (400, 503), answer.body


def test_each_address_is_tried_with_malformed_calls(here: Here) -> None:
    """An address beside the table is one of the page, which has its own test."""
    served = here.app._app.routes  # type: ignore[attr-defined]
    beside = paths(served) - {path for _, _, path, _ in ADDRESSES}
    assert beside == paths(page.routes(here.context))


def paths(routes: Sequence[BaseRoute]) -> set[str]:
    return {each.path for each in routes if isinstance(each, Route)}


def _body(data: st.DataObject) -> Any:
    body = json.loads(json.dumps(data.draw(st.sampled_from(BODIES))))
    members = data.draw(st.sampled_from([body["properties"], body]))
    members[data.draw(st.sampled_from(sorted(members)))] = data.draw(JUNK)
    return data.draw(st.just(body) | JUNK)
