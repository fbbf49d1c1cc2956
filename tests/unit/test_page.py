"""What the Studio's page decides before anything is shown: times, sources, pages, and literals in samples."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
from starlette.applications import Starlette

from service.guard import is_for_this_machine
from service.page.paging import AT_ONCE, part
from studio.entrance import MOST
from studio.experiments.loading import load_experiment
from studio.jobs.runner import details
from studio.page.faults import PLACE
from studio.page.samples import KEY, job, score, update
from studio.page.trying import field
from studio.page.views import JobView, Model, Place, endpoint_place, view_endpoint, view_job
from studio.publishing import new_endpoint
from studio.server import build
from studio.state.records import NEVER, Endpoint, Job, Reference, Resource, Scorer, Service, now
from tests.support.asgi import Answer, ask
from tests.support.studio_context import Handlers, handlers

OWN = "http://127.0.0.1:10000/devstoreaccount1/"
HOSTILE = 'it\'s "$(id)" `id` \\ \n ü 😀)'


def endpoint_with(resource: Resource) -> Endpoint:
    return new_endpoint("service", "retrained", scorers=[Scorer(resource=resource, input="input1", output="output1")])


def model_of(endpoint: Endpoint, when: float) -> Model:
    service = Service(id="service", parent="workspace", name="Income", created=endpoint.created)
    [model] = view_endpoint(endpoint, service, Place("http://127.0.0.1:10010", OWN, when), "/x").models
    return model


def own(path: str) -> Reference:
    return Reference(base_location=OWN, relative_location=path)


def test_the_model_shown_is_the_one_that_serves_and_the_one_to_come_is_shown_beside_it() -> None:
    begins = now().timestamp() + 30
    first = Resource(name="Income [trained model]", location=own("a.ilearner"), sha256="a" * 64)
    endpoint = endpoint_with(first.becoming("b" * 64, own("b.ilearner"), begins))
    before, after = model_of(endpoint, begins - 1), model_of(endpoint, begins)
    assert (before.sha256, after.sha256) == ("a" * 12, "b" * 12)
    assert before.later == f"{'b' * 12} was set and serves from {datetime.fromtimestamp(begins, UTC):%H:%M:%S} UTC"
    assert after.later is None
    deaf = endpoint_with(first.becoming("b" * 64, own("b.ilearner"), NEVER))
    assert model_of(deaf, begins).later == f"{'b' * 12} was set and serves never"


def test_a_model_was_set_when_it_was_updated_else_refreshed_else_deployed() -> None:
    resource = Resource(name="Income [trained model]", location=own("a.ilearner"), sha256="a" * 64)
    created = now()

    def model_set(updated: datetime | None = None, refreshed: datetime | None = None) -> datetime:
        endpoint = endpoint_with(msgspec.structs.replace(resource, updated=updated))
        return model_of(msgspec.structs.replace(endpoint, created=created, refreshed=refreshed), 0.0).set

    hour = timedelta(hours=1)
    assert model_set() == created
    assert model_set(refreshed=created + hour) == created + hour
    assert model_set(updated=created + 2 * hour, refreshed=created + hour) == created + 2 * hour
    # A model that the default endpoint has had for long is new on an endpoint that was just added.
    assert model_set(updated=created - 2 * hour) == created


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (own("models/a.ilearner"), "models/a.ilearner"),
        (Reference(connection_string="AccountKey=secret", relative_location="/models/a.ilearner"), "models/a.ilearner"),
        (
            Reference(
                base_location="https://u:secret@store.example/?sig=secret",
                relative_location="models/a.ilearner?sig=secret",
                sas_blob_token="?sig=secret",
            ),
            "https://store.example/models/a.ilearner",
        ),
    ],
)
def test_where_a_model_came_from_is_shown_without_any_secret(location: Reference, shown: str) -> None:
    assert model_of(endpoint_with(Resource(name="m", location=location, sha256="a" * 64)), 0.0).source == shown


def test_a_job_is_shown_with_its_state_and_its_innermost_error() -> None:
    kept = Job(id="1" * 32, inputs={}, outputs={}, parameters={})
    assert view_job(kept) == JobView(kept.id, "NotStarted", None, "")
    queued = msgspec.structs.replace(kept, queued=1.0)
    assert view_job(queued) == JobView(kept.id, "Queued", datetime.fromtimestamp(1.0, UTC), "")
    for number in (21, 1000):
        message = details("Train Model", number, "TooFewRows", "The number of rows is 1")
        failed = queued.failed(message)
        assert failed
        shown = view_job(failed)
        assert (shown.state, shown.error) == ("Failed", "The number of rows is 1")
    for odd in ("it died", "{", '{"Exception": 1}', '{"Exception": {}}'):
        failed = queued.failed(odd)
        assert failed
        assert view_job(failed).error == odd


@pytest.mark.parametrize("kind", ["score", "job", "update"])
def test_a_sample_without_what_it_needs_says_what_to_set(kind: str) -> None:
    samples = {
        "score": lambda: score("http://127.0.0.1:1", {"input1": {"a": "1"}}, {}, None),
        "job": lambda: job("http://127.0.0.1:1", ["input1"], {"output1": "a.csv"}, {}, None),
        "update": lambda: update("http://127.0.0.1:1", "a model", None),
    }
    for sample in samples[kind]():
        if sample.language not in ("Python", "curl"):
            continue
        command = [sys.executable, "-c"] if sample.language == "Python" else ["bash", "-c"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("STUDIO_")}
        done = subprocess.run([*command, sample.text], env=clean, capture_output=True, text=True, check=False)
        assert done.returncode
        assert "STUDIO_API_KEY" in done.stderr
        assert "key of the endpoint" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_name_in_a_record_is_only_ever_text_in_a_sample() -> None:
    row = {HOSTILE: HOSTILE}
    programs = {each.language: each.text for each in score("http://x", {"input1": row}, {HOSTILE: HOSTILE}, HOSTILE)}
    body = {"Inputs": {"input1": [row]}, "GlobalParameters": {HOSTILE: HOSTILE}}

    values = {
        statement.targets[0].id: statement.value
        for statement in ast.walk(ast.parse(programs["Python"]))
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    assert ast.literal_eval(values["BODY"]) == body
    assert ast.literal_eval(values["KEY"]) == HOSTILE

    words = shlex.split(programs["curl"].replace("#!/usr/bin/env bash\n", ""))
    assert json.loads(words[words.index("--data") + 1]) == body
    assert f"key={HOSTILE}" in words

    text = programs["C#"].split('Body = @"', 1)[1].replace('""', "\0").split('"', 1)[0].replace("\0", '"')
    assert json.loads(text) == body
    text = programs["R"].split('body <- r"-(', 1)[1].split(')-"', 1)[0]
    assert json.loads(text) == body

    [patch] = update("http://x", HOSTILE, None)
    given = next(word for word in shlex.split(patch.text, comments=True) if word.startswith("body={"))
    assert json.loads(given.removeprefix("body="))["Resources"][0]["Name"] == HOSTILE
    assert KEY in patch.text


@pytest.mark.parametrize(
    ("number", "first", "last"),
    [("", 1, 50), ("2", 51, 100), ("3", 101, 101), ("4", 101, 101), ("-1", 1, 50), ("²", 1, 50)],
)
def test_a_page_number_out_of_range_gives_the_nearest_page(number: str, first: int, last: int) -> None:
    shown = part(range(2 * AT_ONCE + 1), number)
    assert (shown.first, shown.last, shown.pages, shown.total) == (first, last, 3, 101)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:10010", "127.8.8.8:1", "[::1]:80", "[::1]"]
)
def test_a_host_that_is_this_machine_is_served(host: str) -> None:
    assert is_for_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "studio.example",
        "localhost.studio.example:80",
        "127.0.0.1.studio.example",
        "10.0.0.1:80",
        "0.0.0.0",
        "2130706433",
    ],
)
def test_any_other_host_is_not(host: str) -> None:
    assert not is_for_this_machine(host)


def test_a_job_of_a_service_that_imports_its_data_needs_no_blob() -> None:
    for sample in job("http://h/jobs", [], {"output1": "output1results.ilearner"}, {"Path": "a/b"}, None):
        assert "the data: what its experiment imports." in sample.text
        assert "input1" not in sample.text


def posted(app: Starlette, path: str, form: Mapping[str, str] | bytes) -> Answer:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return ask(app, "POST", path, {"origin": "http://127.0.0.1:10010"}, [body])


def place_of(studio: Handlers) -> str:
    return endpoint_place(studio.endpoint, studio.service)


def test_a_row_is_answered_with_the_services_own_error_and_no_key(tmp_path: Path) -> None:
    studio = handlers(tmp_path)
    app = build(studio.context)
    for form, said in (
        ({field("input9", "alcohol"): "1"}, "Invalid service input name(s) specified in the request: input9."),
        ({field("input1", "<b>"): "1"}, "missing feature(s)"),
        ({}, "expects the input"),
    ):
        answer = posted(app, f"{place_of(studio)}/try", form)
        shown = answer.body.decode()
        assert answer.status == 400
        assert said in shown
        assert "<b>" not in shown
        assert studio.endpoint.primary_key not in shown
        assert studio.endpoint.secondary_key not in shown


@pytest.mark.parametrize("name", ["input1", "[1]", "[[[", '["a", "b", "c"]', '{"a": 1}', "[" * 100_000])
def test_a_field_that_is_not_a_column_is_refused_by_name(tmp_path: Path, name: str) -> None:
    studio = handlers(tmp_path)
    answer = posted(build(studio.context), f"{place_of(studio)}/try", {name: "1"})
    assert answer.status == 400
    assert "is not a column" in answer.body.decode()


def test_a_form_that_is_too_long_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    studio = handlers(tmp_path)
    answer = posted(build(studio.context), f"{place_of(studio)}/try", b"a" * (MOST + 1))
    assert (answer.status, answer.taken) == (413, 0)


def test_a_training_endpoint_has_no_row_to_try(tmp_path: Path) -> None:
    studio = handlers(tmp_path)
    training = new_endpoint(studio.service.id, "training", training=load_experiment("wine-cellar"))
    studio.context.studio.records.put(training)
    app, place = build(studio.context), endpoint_place(training, studio.service)
    assert posted(app, f"{place}/try", {field("input1", "alcohol"): "1"}).status == 404
    assert "Try a row" not in ask(app, "GET", place, {}).body.decode()


def test_a_server_without_a_control_takes_no_order_and_says_how_to_start_one(tmp_path: Path) -> None:
    studio = handlers(tmp_path)
    app = build(studio.context)
    shown = ask(app, "GET", PLACE, {}).body.decode()
    assert "studio serve --control" in shown
    assert "<form" not in shown
    for path in (PLACE, f"{PLACE}/lift"):
        answer = posted(app, path, {"kind": "reset"})
        assert answer.status == 403
        assert "--control" in answer.body.decode()
    assert studio.context.faults.orders() == []


def test_one_order_or_all_are_lifted(tmp_path: Path) -> None:
    context = replace(handlers(tmp_path).context, control=True)
    app, orders = build(context), context.faults.orders
    for kind in ("reset", "slow", "late"):
        assert posted(app, PLACE, {"kind": kind, "endpoint": " ", "seconds": ""}).status == 303
    assert [order.kind for order in orders()] == ["reset", "slow", "late"]
    assert posted(app, f"{PLACE}/lift", {"id": orders()[1].id}).status == 303
    assert [order.kind for order in orders()] == ["reset", "late"]
    posted(app, f"{PLACE}/lift", {"id": "gone"})
    assert len(orders()) == 2
    posted(app, f"{PLACE}/lift", {})
    assert orders() == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "kind cannot be ''"),
        ({"kind": "reset", "count": "1.5"}, "count cannot be '1.5'; it can be: a whole number."),
        ({"kind": "reset", "count": "9" * 5000}, "it can be: a whole number."),
        ({"kind": "slow", "seconds": "soon"}, "seconds cannot be 'soon'; it can be: a number."),
        ({"kind": "slow", "seconds": "nan"}, "it can be: a number from 0 to 86400."),
        ({"kind": "stuck", "state": "<b>"}, "it can be: NotStarted, Running."),
    ],
)
def test_an_order_that_means_nothing_is_refused_with_what_it_can_be(
    tmp_path: Path, form: dict[str, str], said: str
) -> None:
    context = replace(handlers(tmp_path).context, control=True)
    answer = posted(build(context), PLACE, form)
    shown = unescape(answer.body.decode())
    assert answer.status == 400
    assert said in shown
    assert "<b>" not in answer.body.decode()
    assert context.faults.orders() == []


def test_the_page_of_an_endpoint_has_its_latest_jobs_and_what_went_wrong_as_text(tmp_path: Path) -> None:
    studio = handlers(tmp_path)
    records, endpoint = studio.context.studio.records, studio.endpoint
    jobs = [Job(id=f"{number:032x}", parent=endpoint.id, inputs={}, outputs={}, parameters={}) for number in range(25)]
    failed = msgspec.structs.replace(jobs[-1], queued=1.0).failed(details("Blob", 0, "BlobNotFound", "<b>gone</b>"))
    assert failed
    records.put(*jobs[:-1], failed, Job(id="f" * 32, parent="another", inputs={}, outputs={}, parameters={}))
    answer = ask(build(studio.context), "GET", place_of(studio), {})
    shown = answer.body.decode()
    assert answer.status == 200
    assert [job.id in shown for job in jobs] == [False] * 5 + [True] * 20  # the newest twenty
    assert "&lt;b&gt;gone&lt;/b&gt;" in shown
    assert "<b>gone" not in shown
    assert "f" * 32 not in shown
