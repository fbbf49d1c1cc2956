"""The local workspace's page in this process: what it reads, what it keeps to itself, plots, samples, and examples."""

from __future__ import annotations

import ast
import json
import re
import shlex
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Mount, Route

from aml.page import routes, samples
from aml.state.records import Job, make
from aml.state.runs import Point, log, run_of_job
from service.page.paging import AT_ONCE
from tests.support.aml import MODEL, PORT, Here
from tests.support.asgi import Answer, ask
from tests.support.reads import counting
from tests.support.serving import endpoint_body
from tests.support.waiting import until

OWN = f"http://127.0.0.1:{PORT}"

HOSTILE = 'it\'s "$(id)" `id` \\ \n <b>ü</b> 😀)'

JOB = {
    "jobType": "Command",
    "command": "echo",
    "environmentId": "azureml:python:1",
    "displayName": "a",
    "experimentName": "e",
    "inputs": {},
    "outputs": {},
}


def page(here: Here, path: str, method: str = "GET", **headers: str) -> Answer:
    return ask(here.app, method, path, headers, [], PORT)


def html(here: Here, path: str) -> str:
    answer = page(here, path)
    assert answer.status == 200, answer.body[-2000:]
    return answer.body.decode()


def job(number: int | str, **properties: Any) -> Job:
    return make(Job, f"jobs/job-{number}", {**JOB, "tags": {}, "properties": {}, **properties})


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """A workspace with a model and an endpoint."""
    here = Here(tmp_path_factory.mktemp("aml"))
    here.put("models/income/versions/1", **MODEL)
    here.call("PUT", "onlineEndpoints/income", endpoint_body())
    until(lambda: "income" in here.serving.routes, "the endpoint is made")
    return here


def names(text: str) -> list[str]:
    return re.findall(r'<a class="name" href="[^"]*">([^<]*)</a>', text)


def link(text: str, rel: str) -> str:
    found = re.search(rf'<a rel="{rel}" href="([^"]*)"', text)
    return unescape(found[1]) if found else ""


@pytest.mark.parametrize("path", ["/", "/jobs", "/models", "/endpoints", "/batch-endpoints"])
def test_an_empty_workspace_has_its_pages(here: Here, path: str) -> None:
    assert "here." in html(here, path) or "yet." in html(here, path)


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/x",
        "/jobs/x/nodes/y",
        "/models/x",
        "/endpoints/x",
        "/endpoints/x/deployments/y",
        "/endpoints/income/deployments/y",
        "/batch-endpoints/x",
    ],
)
def test_what_is_not_there_is_said_on_a_page(serving: Here, path: str) -> None:
    answer = page(serving, path)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert re.search(r"No [a-z ]+ has this name\.", answer.body.decode())


def test_a_list_is_read_a_page_at_a_time_in_both_directions(here: Here) -> None:
    jobs = [job(number) for number in range(2 * AT_ONCE + 10)]
    here.workspace.records.put(*jobs)
    newest_first = [each.name for each in reversed(jobs)]
    first = html(here, "/jobs")
    assert names(first) == newest_first[:AT_ONCE]
    second = html(here, link(first, "next"))
    third = html(here, link(second, "next"))
    assert names(second) + names(third) == newest_first[AT_ONCE:]
    assert (link(first, "prev"), link(third, "next")) == ("", "")
    back = html(here, link(third, "prev"))
    assert names(back) == names(second)
    assert names(html(here, link(back, "prev"))) == names(first)
    assert names(html(here, link(back, "next"))) == names(third)


def test_of_ten_thousand_jobs_a_page_reads_those_that_it_shows(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.workspace.records.put(*(job(number) for number in range(10_000)))
    middle = link(html(here, link(html(here, "/jobs"), "next")), "next")
    read_by = counting(monkeypatch)
    for path in ("/", "/jobs", middle):
        assert 0 < read_by(lambda path=path: html(here, path)) <= AT_ONCE + 1, path


@pytest.mark.parametrize(
    "query", ["after=x", "before=²", "after=0", "before=-1", "before=99999999999999999999", "after=1"]
)
def test_a_place_in_a_list_that_is_none_shows_the_list(here: Here, query: str) -> None:
    here.workspace.records.put(job(1))
    assert page(here, f"/jobs?{query}").status == 200


def test_what_a_record_holds_is_only_text(here: Here) -> None:
    named = {"inputs": {"a": {"jobInputType": "literal", "value": HOSTILE}}, "outputs": {}}
    kept = job("odd", **named, command=HOSTILE)
    kept = msgspec.structs.replace(
        kept,
        properties={**kept.properties, "displayName": HOSTILE, "tags": {HOSTILE: HOSTILE}},
        error={"message": HOSTILE},
    )
    here.workspace.records.put(kept)
    here.put("models/odd/versions/1", **MODEL, description=HOSTILE, tags={HOSTILE: HOSTILE})
    log(
        here.workspace.records,
        run_of_job(here.workspace.records, kept).id,
        [(HOSTILE, point(1.0, 0)), (HOSTILE, point(2.0, 1))],
    )
    for path in ("/", "/jobs", "/jobs/job-odd", "/models", "/models/odd"):
        text = html(here, path)
        assert "<b>" not in text
        assert "&lt;b&gt;" in text


def point(value: float | str, step: int) -> Point:
    return Point(value=value, timestamp=1, step=step)


def test_a_job_is_shown_with_what_it_is_made_of_and_its_metrics(here: Here) -> None:
    model = f"{here.workspace.id}/models/income/versions/2"
    ports = {
        "inputs": {
            "model": {"jobInputType": "custom_model", "uri": model},
            "before": {"jobInputType": "uri_folder", "uri": "azureml://jobs/job-0/outputs/data"},
        },
        "outputs": {"model": {"jobOutputType": "mlflow_model"}},
    }
    kept = job(1, **ports)
    here.workspace.records.put(kept)
    run = run_of_job(here.workspace.records, kept).id
    log(here.workspace.records, run, [("loss", point(1 / (step + 1), step)) for step in range(40)], params={"c": "0.5"})
    log(here.workspace.records, run, [("auc", point(0.75, 0)), ("broken", point("NaN", 0))])
    text = html(here, "/jobs/job-1")
    assert '<a href="/models/income">income:2</a>' in text
    assert '<a href="/jobs/job-0">azureml://jobs/job-0/outputs/data</a>' in text
    assert "azureml://jobs/job-1/outputs/model" in text
    [line] = re.findall(r'<polyline points="([^"]*)"/>', text)
    assert len(line.split()) == 40
    assert "loss over 40 values, from step 0 to 39, between 0.025 and 1" in text
    rows = re.findall(r'<tr><th scope="row">(\w+)</th><td>([^<]*)</td>', text)
    assert {("loss", "0.025"), ("auc", "0.75"), ("broken", "NaN"), ("c", "0.5")} <= set(rows)
    assert "The storage could not be read" in text  # none listens in this test


def test_a_step_of_a_pipeline_has_a_page_below_it(here: Here) -> None:
    pipeline = job("pipe", jobType="Pipeline")
    step = make(Job, f"{pipeline.path}/nodes/abc", {**JOB, "displayName": "train", "tags": {}, "properties": {}})
    here.workspace.records.put(pipeline, step)
    assert '<a class="name" href="/jobs/job-pipe/nodes/abc">abc</a>' in html(here, "/jobs/job-pipe")
    text = html(here, "/jobs/job-pipe/nodes/abc")
    assert '<a href="/jobs/job-pipe">job-pipe</a>' in text
    assert "<h1>train" in text


def test_the_address_that_a_client_shows_of_a_job_is_its_page(here: Here) -> None:
    kept = job(1)
    here.workspace.records.put(kept)
    address = here.call("GET", "jobs/job-1").json["properties"]["services"]["Studio"]["endpoint"]
    answer = page(here, f"{address.removeprefix(OWN)}&tid={here.workspace.identity.tenant}")
    assert answer.status == 200
    assert "job-1" in answer.body.decode()


def keys_of(here: Here) -> tuple[str, str]:
    answer = here.call("POST", "onlineEndpoints/income/listKeys").json
    return answer["primaryKey"], answer["secondaryKey"]


def test_keys_are_shown_after_a_click_and_on_no_other_page(serving: Here) -> None:
    keys = keys_of(serving)
    for path in ("/", "/endpoints", "/endpoints/income"):
        assert not any(key in html(serving, path) for key in keys)
    answer = page(serving, "/endpoints/income", "POST", origin=OWN)
    assert answer.status == 200
    assert all(key in answer.body.decode() for key in keys)
    assert answer.headers["cache-control"] == "no-store"
    assert "AML_ENDPOINT_KEY" not in answer.body.decode()


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"host": "attacker.example"}),
        ("GET", {"host": f"127.0.0.1.attacker.example:{PORT}"}),
        ("POST", {}),
        ("POST", {"origin": "https://attacker.example"}),
        ("POST", {"origin": "null"}),
        ("POST", {"sec-fetch-site": "cross-site"}),
        ("POST", {"host": "attacker.example", "origin": "http://attacker.example", "sec-fetch-site": "same-origin"}),
    ],
    ids=str,
)
def test_a_request_that_is_not_the_pages_own_is_refused(serving: Here, method: str, headers: dict[str, str]) -> None:
    for path in ("/endpoints/income", *(("/", "/jobs") if method == "GET" else ())):
        answer = page(serving, path, method, **headers)
        assert answer.status == 403
        assert not any(key in answer.body.decode() for key in keys_of(serving))
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_endpoint_that_takes_tokens_shows_no_key(here: Here) -> None:
    here.call("PUT", "onlineEndpoints/visits", endpoint_body(authMode="AMLToken"))
    for method in ("GET", "POST"):
        answer = page(here, "/endpoints/visits", method, origin=OWN)
        assert answer.status == 200
        assert "Show the keys" not in answer.body.decode()
        assert "/onlineEndpoints/visits/token?api-version=" in answer.body.decode()


def test_a_batch_endpoint_is_shown_with_what_a_call_needs(here: Here) -> None:
    inputs = {
        "rows": {"type": "uri_file"},
        "times": {"type": "integer"},
        "text": {"type": "string", "default": "a"},
        "note": {"type": "string", "optional": True},
    }
    here.put("environments/python/versions/1", image="python:3.12")
    environment = f"azureml:{here.workspace.id}/environments/python/versions/1"
    step = {"type": "command", "command": "echo", "environment": environment, "inputs": {}}
    here.put("components/echo/versions/1", componentSpec=step)
    node = {"type": "command", "componentId": f"{here.workspace.id}/components/echo/versions/1"}
    pipeline = {"type": "pipeline", "inputs": inputs, "outputs": {}, "jobs": {"one": node}}
    here.put("components/counting/versions/1", componentSpec=pipeline)
    assert here.put("batchEndpoints/counter", authMode="AADToken").status == 201
    until(
        lambda: here.call("GET", "batchEndpoints/counter").json["properties"]["provisioningState"] == "Succeeded",
        "made",
    )
    assert "no default deployment" in html(here, "/batch-endpoints/counter")
    component = {"referenceType": "Id", "assetId": f"{here.workspace.id}/components/counting/versions/1"}
    configuration = {"deploymentConfigurationType": "PipelineComponent", "componentId": component}
    assert here.put("batchEndpoints/counter/deployments/first", deploymentConfiguration=configuration).status == 201
    default = {"authMode": "AADToken", "defaults": {"deploymentName": "first"}}
    until(lambda: here.put("batchEndpoints/counter", **default).status == 200, "the default is set")
    assert "No call started a job yet." in html(here, "/batch-endpoints/counter")
    called = {"jobType": "Pipeline", "displayName": "called", "experimentName": "calls", "inputs": {}, "outputs": {}}
    called |= {"tags": {}, "properties": {}}
    places = {
        "called": "batchendpoints/counter/deployments/first",
        "other": "batchendpoints/counter2/deployments/first",
    }
    here.workspace.records.put(*(make(Job, f"jobs/{each}", called, invoked=place) for each, place in places.items()))
    text = unescape(html(here, "/batch-endpoints/counter"))
    assert "counting:1" in text
    assert re.findall(r'href="/jobs/(\w+)"', text) == ["called"]
    assert '"times": { "jobInputType": "Literal", "value": "1" }' in " ".join(text.split())
    [program] = re.findall(r'data-language="Python, azure-ai-ml"><code>(.*?)</code>', text, re.DOTALL)
    [given] = [each for each in ast.walk(ast.parse(program)) if isinstance(each, ast.Dict)]
    assert [ast.literal_eval(key) for key in given.keys if key] == ["rows", "times"]
    assert names(html(here, "/batch-endpoints")) == ["counter"]
    assert "Its calls start jobs of first" in html(here, "/")


@settings(max_examples=25, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.sampled_from(["", "?after=x", "?before=-1", "?before=1&after=%00", f"?after={10**40}"]),
    st.sampled_from(["GET", "POST", "PUT"]),
)
def test_no_call_breaks_the_page(serving: Here, name: str, query: str, method: str) -> None:
    part = re.sub("[/?#]", "", name) or "x"
    for route in routes(serving.context):
        assert isinstance(route, Route | Mount)
        path = re.sub("{[^}]*}", lambda _: part, route.path) + (f"/{part}" if isinstance(route, Mount) else "")
        assert page(serving, f"{path}{query}", method, origin=OWN).status < 500


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)

#: the page of a resource, where it is put, and right properties, whose members are replaced one by one
PUT: dict[str, tuple[str, dict[str, Any]]] = {
    "/jobs/{}": ("jobs/{}", {**JOB, "environmentId": "azureml://registries/a/environments/b/versions/1", "tags": {}}),
    "/models/{}": ("models/{}/versions/1", {**MODEL, "tags": {}, "description": "a", "flavors": {}}),
    "/endpoints/{}": ("onlineEndpoints/{}", {"authMode": "Key", "traffic": {}, "description": "a", "properties": {}}),
    "/batch-endpoints/{}": ("batchEndpoints/{}", {"authMode": "AADToken", "defaults": {}, "description": "a"}),
}


@pytest.mark.parametrize("shown", PUT)
def test_whatever_the_service_takes_has_a_page(tmp_path: Path, shown: str) -> None:
    here, (path, right) = Here(tmp_path, typed=False), PUT[shown]
    frame = {"location": "w", "identity": {"type": "SystemAssigned"}}
    taken = 0

    @settings(max_examples=20, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 10**6), st.sampled_from(sorted(right)) | st.text(max_size=5), JUNK, JUNK)
    def has_a_page(number: int, member: str, value: Any, tags: Any) -> None:
        nonlocal taken
        name = f"n{number}"
        answer = here.call("PUT", path.format(name), {**frame, "tags": tags, "properties": {**right, member: value}})
        if answer.status < 300:
            taken += 1
            assert page(here, shown.format(name)).status == 200
            assert page(here, "/").status == 200

    has_a_page()
    assert taken


def test_a_name_in_a_record_is_only_ever_text_in_a_sample() -> None:
    body = {HOSTILE: [HOSTILE]}
    programs = {each.language: each.text for each in samples.score(HOSTILE, HOSTILE, "http://m", "Key", body, HOSTILE)}
    for language in ("Python, azure-ai-ml", "Python, REST"):
        tree = ast.parse(programs[language])
        values = {
            each.targets[0].id: each.value
            for each in ast.walk(tree)
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        assert ast.literal_eval(values["BODY"]) == body
        texts = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)]
        assert HOSTILE in texts
    words = shlex.split(programs["curl"], comments=True)
    assert json.loads(words[words.index("--data") + 1]) == body
    assert f"key={HOSTILE}" in words


@pytest.mark.parametrize("auth", ["Key", "AMLToken", "AADToken"])
def test_a_sample_says_what_it_needs(auth: str) -> None:
    for each in samples.score("income", "http://a", "http://m", auth, None, None):
        assert "decided by the endpoint's own script" in each.text
        assert ("AML_ENDPOINT_KEY" in each.text) == (auth == "Key" and each.language != "Python, azure-ai-ml")
        if each.language.startswith("Python"):
            ast.parse(each.text)
