"""What programs in several languages send to the Studio: each form works, or is refused with what to send instead."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

import pytest

from service import json_body
from service.json_body import NotJson, read_json
from studio.api import bes, classic, rrs, workspace
from studio.errors import StudioError
from studio.state.records import Job
from tests.support.samples import cellar
from tests.support.studio_context import STORAGE, Handlers, handlers, model

COLUMNS = cellar(2)
ROW = {name: cells[0] for name, cells in COLUMNS.items()}
TABLE = {"ColumnNames": list(ROW), "Values": [list(ROW.values())]}
SWAGGER = {"api-version": "2.0", "format": "swagger"}


@pytest.fixture
def studio(tmp_path: Path) -> Handlers:
    return handlers(tmp_path)


def scored(studio: Handlers, body: Any, **query: str) -> Any:
    answer = rrs.execute(studio.context, studio.call(body=body, query={"api-version": "2.0", **query}))
    [output] = json.loads(bytes(answer.body))["Results"].values()
    return output if "format" in query else output["value"]["Values"]


def error_of(studio: Handlers, body: Any, **query: str) -> StudioError:
    with pytest.raises(StudioError) as error:
        scored(studio, body, **query)
    return error.value


@pytest.mark.parametrize(
    "without",
    [
        {"GlobalParameters": {}},  # the portal's samples
        {"GlobalParameters": None},  # C#, PHP
        {},  # Python, Node
        {"GlobalParameters": []},  # PHP's json_encode(array()), R's RJSONIO
        {"GlobalParameters": ""},  # PHP
        {"GlobalParameters": {"Append score columns to output": None}},  # C#, a parameter without a value
    ],
    ids=str,
)
def test_no_parameters_are_written_in_six_ways(studio: Handlers, without: dict[str, Any]) -> None:
    assert len(scored(studio, {"Inputs": {"input1": TABLE}, **without})) == 1


@pytest.mark.parametrize("given", [["x"], "x", 1, [None]])
def test_parameters_in_another_form_are_refused(studio: Handlers, given: Any) -> None:
    error = error_of(studio, {"Inputs": {"input1": TABLE}, "GlobalParameters": given})
    assert (error.status, error.message) == (400, "GlobalParameters is not an object of names and values.")


def test_names_of_members_are_read_in_any_case_and_names_of_ports_and_columns_are_not(studio: Handlers) -> None:
    camel = {"inputs": {"input1": {"columnNames": TABLE["ColumnNames"], "values": TABLE["Values"]}}}
    assert scored(studio, camel) == scored(studio, {"Inputs": {"input1": TABLE}})
    parameters = {"globalParameters": {"Append score columns to output": "False"}}
    assert len(scored(studio, {**camel, **parameters})[0]) == 2
    assert error_of(studio, {"Inputs": {"Input1": TABLE}}).detail == "InvalidInputNames"
    upper = {**TABLE, "ColumnNames": [name.upper() for name in ROW]}
    assert "missing feature(s)" in error_of(studio, {"Inputs": {"input1": upper}}).message


def test_a_name_in_its_own_case_goes_before_the_same_name_in_another(studio: Handlers) -> None:
    body = {"Inputs": {"input1": TABLE}, "inputs": {"input1": {}}}
    assert len(scored(studio, body)) == 1
    assert len(scored(studio, dict(reversed(body.items())))) == 1


@pytest.mark.parametrize(
    ("given", "query", "message"),
    [
        (TABLE, SWAGGER, "is not a list of rows (it is a table, which is read without format=swagger in the address)."),
        ([ROW], {}, "Rows as objects are read with format=swagger in the address."),
        ({"ColumnNames": list(ROW), "Values": list(ROW.values())}, {}, "Expected `array`, got `str`"),
        ({"ColumnNames": list(ROW)}, {}, "missing required field `Values`"),
        (None, {}, "is not a table with ColumnNames and Values"),
        (None, SWAGGER, "is not a list of rows"),
        ("a,b", SWAGGER, "is not a list of rows"),
    ],
    ids=str,
)
def test_an_input_in_another_form_is_refused_with_the_form_that_is_read(
    studio: Handlers, given: Any, query: dict[str, str], message: str
) -> None:
    error = error_of(studio, {"Inputs": {"input1": given}}, **query)
    assert (error.status, error.detail, error.target) == (400, "InputParseError", "input1")
    assert message in error.message


def test_no_rows_are_answered_with_no_rows_in_either_form(studio: Handlers) -> None:
    assert scored(studio, {"Inputs": {"input1": []}}, **SWAGGER) == []
    assert scored(studio, {"Inputs": {"input1": {**TABLE, "Values": []}}}) == []


def test_a_single_row_without_its_list_is_read_with_format_swagger(studio: Handlers) -> None:
    assert scored(studio, {"Inputs": {"input1": ROW}}, **SWAGGER) == scored(
        studio, {"Inputs": {"input1": [ROW]}}, **SWAGGER
    )


def test_the_body_of_the_version_before_is_refused_at_execute(studio: Handlers) -> None:
    error = error_of(studio, {"Id": "score00001", "Instance": {"FeatureVector": ROW}})
    assert (error.status, error.detail) == (400, "MissingRequestInput")
    assert "They are: input1." in error.message


def test_nan_is_a_missing_number_and_stays_what_it_is_in_a_text(studio: Handlers) -> None:
    name = "alcohol"
    missing = scored(studio, {"Inputs": {"input1": {**TABLE, "Values": [[*{**ROW, name: None}.values()]]}}})
    body = json.dumps({"Inputs": {"input1": {**TABLE, "Values": [[*{**ROW, name: float("nan")}.values()]]}}})
    assert "NaN" in body
    assert scored(studio, body.encode()) == missing
    assert read_json(b'{"a": [NaN, -Infinity, "NaN \\" NaN"], "NaN": 1}') == {
        "a": [None, "-Infinity", 'NaN " NaN'],
        "NaN": 1,
    }
    infinite = json.dumps({"Inputs": {"input1": {**TABLE, "Values": [[*{**ROW, name: float("inf")}.values()]]}}})
    assert "is too large" in error_of(studio, infinite.encode()).message


def test_no_byte_of_a_body_is_looked_at_twice_for_nan() -> None:
    body = b"[NaN, " + b'\\"' * 10_000  # an open text that begins at each quotation mark, if it is looked for there
    nan, text = json_body._TOKENS.finditer(body)
    assert (nan[0], text.span()) == (b"NaN", (7, len(body)))
    with pytest.raises(NotJson, match="malformed"):
        read_json(body)


@pytest.mark.parametrize(
    "encoded",
    [
        codecs.BOM_UTF8 + b'{"a": "\xc3\xbc"}',
        '{"a": "ü"}'.encode("utf-16"),
        '{"a": "ü"}'.encode("utf-16-le"),
        '{"a": "ü"}'.encode("utf-32"),
    ],
)
def test_a_body_is_read_in_the_encodings_of_json(encoded: bytes) -> None:
    assert read_json(encoded) == {"a": "ü"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "It is empty."),
        (b"a=1&b=2", "JSON is malformed"),
        ('{"a": "ü"}'.encode("latin-1"), "not text in UTF-8|[Ii]nvalid"),
        (b"[" * 100_000, "too deeply nested"),
        (b'{"a": NaN', "malformed|truncated"),
    ],
)
def test_a_body_that_is_not_json_is_refused_with_what_is_wrong(studio: Handlers, body: bytes, why: str) -> None:
    with pytest.raises(StudioError) as error:
        studio.call(body=body).json()
    assert re.search(why, error.value.message)
    assert (error.value.status, error.value.detail) == (400, "RequestBodyInvalid")


def test_score_answers_one_row_as_a_list_of_texts(studio: Handlers) -> None:
    [expected] = scored(studio, {"Inputs": {"input1": TABLE}})
    body = {"Id": "score00001", "Instance": {"FeatureVector": ROW, "GlobalParameters": {}}}
    for handler, wrapped in ((rrs.score_row, expected), (rrs.score_row_as_table, [expected])):
        answer = handler(studio.context, studio.call(body=body, query={}))
        assert json.loads(bytes(answer.body)) == wrapped
    numbers = {**ROW, "alcohol": float(ROW["alcohol"])}
    body = {"instance": {"featureVector": numbers, "globalParameters": []}}
    answer = rrs.score_row(studio.context, studio.call(body=body, query={}))
    assert json.loads(bytes(answer.body))[-2:] == expected[-2:]


@pytest.mark.parametrize("body", [{}, {"Instance": {}}, {"Instance": {"FeatureVector": []}}, {"Inputs": {}}])
def test_score_without_a_row_is_refused(studio: Handlers, body: Any) -> None:
    with pytest.raises(StudioError, match="has no Instance with a FeatureVector") as error:
        rrs.score_row(studio.context, studio.call(body=body, query={}))
    assert (error.value.status, error.value.detail) == (400, "MissingRequestInput")


def test_score_is_throttled_and_needs_the_key_as_execute_does(studio: Handlers) -> None:
    body = {"Instance": {"FeatureVector": ROW}}
    with pytest.raises(StudioError) as error:
        rrs.score_row(studio.context, studio.call(body=body, query={}, key="wrong"))
    assert error.value.status == 401
    with pytest.raises(StudioError) as error:
        rrs.score_row(studio.context, studio.call(body=body, query={}, at_once=5))
    assert error.value.detail == "RequestThrottled"
    operations = {path: operation for operation, _, path, _ in rrs.ADDRESSES}
    assert operations["/score"] == operations["/scoremultirow"] == operations["/execute"]  # counted together


@pytest.mark.parametrize(
    "reference",
    [
        {"ConnectionString": STORAGE, "RelativeLocation": "data/rows.csv"},
        {"ConnectionString": STORAGE, "RelativeLocation": "/data/rows.csv", "BaseLocation": None, "SasBlobToken": None},
        {"connectionString": STORAGE, "relativeLocation": "data/rows.csv"},
        {"BaseLocation": "http://127.0.0.1:1/own", "RelativeLocation": "data/rows.csv", "SasBlobToken": "?sv=1&sig=a"},
        {"BaseLocation": "http://127.0.0.1:1/own/", "RelativeLocation": "/data/rows.csv", "SasBlobToken": "sv=1&sig=a"},
        {"ConnectionString": STORAGE, "RelativeLocation": "data/rows.CSV"},
    ],
    ids=str,
)
@pytest.mark.parametrize("member", ["Input", "Inputs", "input", "inputs"])
def test_a_job_names_its_blob_in_the_forms_of_its_clients(
    studio: Handlers, reference: dict[str, Any], member: str
) -> None:
    studio.blobs.held |= {"data/rows.csv": b"a\n1\n", "data/rows.CSV": b"a\n1\n"}
    given = reference if member.lower() == "input" else {"input1": reference}
    bes.create(studio.context, studio.call(body={member: given, "outputs": None, "GlobalParameters": []}))
    [created] = studio.context.studio.records.all(Job)
    assert (created.inputs["input1"].relative_location or "").lstrip("/").lower() == "data/rows.csv"


@pytest.mark.parametrize("case", [str, str.lower, str.upper])
def test_an_update_is_read_in_any_case_of_its_names(studio: Handlers, case: Any) -> None:
    studio.blobs.held["new/b.ilearner"] = model(seed=8)
    before = studio.now().scorers[0].resource.sha256
    location = {case("ConnectionString"): STORAGE, case("RelativeLocation"): "new/b.ilearner"}
    body = {case("Resources"): [{case("Name"): "Cellar [trained model]", case("Location"): location}]}
    assert classic.update(studio.context, studio.call(body=body)).status_code == 200
    assert studio.now().scorers[0].resource.sha256 != before


def test_the_api_document_is_open_by_name_and_by_id_and_below_the_help_page(studio: Handlers) -> None:
    for name in (studio.endpoint.name, studio.endpoint.id):
        call = studio.call({"name": name}, key="")
        document = json.loads(bytes(classic.describe(studio.context, call).body))
        assert list(document["paths"])[1].startswith("/execute?")
        assert document["definitions"]["ExecutionRequest"]["example"]["Inputs"]["input1"]
    addresses = {path for operation, _, path, _ in classic.ADDRESSES if operation == "classic.apidocument"}
    assert {path.startswith("/apihelp/workspaces/") for path in addresses} == {True, False}
    with pytest.raises(StudioError) as error:
        classic.describe(studio.context, studio.call({"name": "other"}, key=""))
    assert error.value.status == 404


def test_a_workspace_has_no_data_sets_and_no_experiments_for_those_who_have_its_token(studio: Handlers) -> None:
    token = studio.context.studio.workspace.primary_token
    assert workspace.list_nothing(studio.context, studio.call(key=token)).body == b"[]"
    with pytest.raises(StudioError) as error:
        workspace.list_nothing(studio.context, studio.call())
    assert error.value.status == 401
