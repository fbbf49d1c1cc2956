"""YAML files of the `az ml` commands: what they describe, and errors that name the file and the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from aml.importing.document import Document, NotImported, check_local_files, read_document
from aml.importing.kinds import kind_of
from aml.importing.serving import endpoint_body
from local.children import ROOT

SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
JOB = "command: echo\nenvironment: azureml:python:1\n"


def document(folder: Path, text: str) -> Document:
    file = folder / "file.yml"
    file.write_text(text, "utf-8")
    return read_document(file)


def checked(folder: Path, text: str) -> str:
    """Return the schema of the file's kind, once its keys and files are checked."""
    found = document(folder, text)
    kind = kind_of(found)
    found.check_keys(kind.keys, kind.what)
    check_local_files(found)
    return kind.schema


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"$schema: {SCHEMAS}/commandComponent.schema.json\n{JOB}", "commandComponent"),
        (f"$schema: {SCHEMAS}/CommandJob.schema.json\n{JOB}", "commandJob"),
        (f"{JOB}compute: azureml:cpu-cluster", "commandJob"),
        (f"{JOB}inputs: {{c: 0.5, data: {{type: uri_file, path: azureml:d:1}}}}", "commandJob"),
        (f"{JOB}inputs: {{data: {{type: uri_file}}}}", "commandComponent"),
        (f"{JOB}version: 3", "commandComponent"),
        ("type: pipeline\njobs: {one: {component: azureml:count:1}}", "pipelineJob"),
        ("type: pipeline\nversion: 1\njobs: {one: {component: azureml:count:1}}", "pipelineComponent"),
        ("name: a\nendpoint_name: b\ncomponent: azureml:c:1", "pipelineComponentBatchDeployment"),
        ("name: a\ndefaults: {deployment_name: b}", "batchEndpoint"),
        ("name: a\nimage: python", "environment"),
        ("name: a\ntype: mltable\npath: azureml://datastores/d/paths/a", "data"),
        ("name: a\ntype: mlflow_model\npath: azureml://datastores/d/paths/a", "model"),
        ("name: a\nauth_mode: key", "managedOnlineEndpoint"),
        ("name: a\nendpoint_name: b\nmodel: azureml:m:1", "managedOnlineDeployment"),
    ],
)
def test_the_kind_is_what_the_schema_says_or_else_the_members(tmp_path: Path, text: str, kind: str) -> None:
    assert checked(tmp_path, text) == kind


@pytest.mark.parametrize(("name", "kind"), [("train.yml", "commandJob"), ("component.yml", "commandComponent")])
def test_a_file_that_microsofts_client_loads_is_read(name: str, kind: str) -> None:
    found = read_document(ROOT / "tests" / "clients" / "azureml" / name)
    assert kind_of(found).schema == kind
    found.check_keys(kind_of(found).keys, kind)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (f"{JOB}comand: x", 3, "'comand' is not a key of a command job; did you mean 'command'?"),
        (
            f"{JOB}limits:\n  timeot: 1",
            4,
            "'timeot' is not a key of 'limits' of a command job; did you mean 'timeout'?",
        ),
        (f"{JOB}code: ./src", 3, "'code' is './src', and "),
        (f"{JOB}code: ''", 3, "'code' is empty; give a file or folder"),
        (f"{JOB}code: git+https://example.org/a", 3, "'code' is in a Git repository"),
        (f"{JOB}inputs:\n  data:\n    type: uri_file\n    path: gone.csv", 6, "'path' is 'gone.csv'"),
        (f"{JOB}inputs: 3", 3, "'inputs' must be a map of names and values"),
        (f"$schema: {SCHEMAS}/sweepJob.schema.json", 1, "'sweepJob' is not a schema that is imported"),
        (f"# a remark\n$schema: {SCHEMAS}/enviroment.schema.json", 2, "did you mean 'environment'?"),
        ("name: a", 1, "add $schema"),
        ("- a", 1, "a file of az ml is a map"),
        ("", 1, "a file of az ml is a map"),
        ("name: a\nname: b", 2, "the key 'name' stands twice"),
        ("name: [", 1, ""),
        ("name: a\n\tb: c", 2, ""),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(NotImported) as wrong:
        checked(tmp_path, text)
    assert str(wrong.value).startswith(f"{tmp_path / 'file.yml'}:{line}: ")
    assert said in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for file in (tmp_path / "gone.yml", tmp_path):
        with pytest.raises(NotImported, match=str(file)):
            read_document(file)


@pytest.mark.parametrize("name", ["path", "code", "component"])
def test_an_input_with_the_name_of_a_key_is_not_a_file(tmp_path: Path, name: str) -> None:
    assert (
        checked(tmp_path, f"{JOB}compute: azureml:c\ninputs: {{{name}: gone}}\ntags: {{{name}: gone}}") == "commandJob"
    )


def test_a_version_stays_as_it_is_written(tmp_path: Path) -> None:
    assert document(tmp_path, "version: 1.10").text("version") == "1.10"


def test_an_endpoint_keeps_the_traffic_that_its_file_does_not_name(tmp_path: Path) -> None:
    present = {"properties": {"traffic": {"blue": 100}, "mirrorTraffic": {"green": 10}}}
    kept = endpoint_body(document(tmp_path, "name: a\nauth_mode: aml_token"), present)["properties"]
    assert (kept["authMode"], kept["traffic"], kept["mirrorTraffic"]) == ("AMLToken", {"blue": 100}, {"green": 10})
    named = endpoint_body(document(tmp_path, "name: a\ntraffic: {green: 100}\nmirror_traffic: {}"), present)
    assert (named["properties"]["traffic"], named["properties"]["mirrorTraffic"]) == ({"green": 100}, {})
