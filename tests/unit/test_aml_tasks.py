"""What a command job does, as its properties say: references, literals, optional parts, nodes of a pipeline."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from aml.errors import ArmError
from aml.jobs.pythons import Pythons
from aml.jobs.task import Port, fill_in, read_command, read_node, read_nodes, read_ports

COMMAND: dict[str, Any] = {
    "command": "python train.py ${{inputs.data}} --c ${{ inputs.c }} --out ${{outputs.model}}",
    "environmentId": "e",
    "inputs": {
        "data": {"jobInputType": "uri_file", "uri": "azureml://datastores/a/paths/x.csv"},
        "c": {"jobInputType": "literal", "value": "0.5"},
    },
    "outputs": {"model": {"jobOutputType": "mlflow_model"}},
}


def test_a_command_gets_the_texts_of_its_inputs_and_outputs() -> None:
    task = read_command(COMMAND)
    filled = fill_in(task.command, {"data": "/in/x.csv", "c": "0.5"}, {"model": "/out"})
    assert filled == "python train.py /in/x.csv --c 0.5 --out /out"


def test_what_stands_in_a_value_is_not_filled_in_again() -> None:
    assert fill_in("a ${{inputs.x}}", {"x": "${{inputs.y}} $[[b]]", "y": "secret"}, {}) == "a ${{inputs.y}} $[[b]]"


@pytest.mark.parametrize(("given", "filled"), [({"x": "1"}, "run --x 1 end"), ({}, "run  end")])
def test_an_optional_part_is_left_out_without_its_input(given: dict[str, str], filled: str) -> None:
    assert fill_in("run $[[--x ${{inputs.x}}]] end", given, {}) == filled


@pytest.mark.parametrize(
    ("duration", "seconds"), [("PT4H", 14400.0), ("PT1M30.5S", 90.5), ("P1DT1S", 86401.0), ("PT0S", 0.0)]
)
def test_a_timeout_is_a_duration(duration: str, seconds: float) -> None:
    assert read_command({**COMMAND, "limits": {"timeout": duration}}).seconds == seconds


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"command": ""}, "properties.command"),
        ({"command": "a ${{inputs.other}}"}, "properties.command"),
        ({"command": "a ${{search_space.x}}"}, "properties.command"),
        ({"environmentId": None}, "properties.environmentId"),
        ({"inputs": {"data": {"jobInputType": "uri_file"}}}, "properties.inputs.data"),
        ({"inputs": {"data": {"jobInputType": "table", "uri": "a"}}}, "properties.inputs.data"),
        ({"inputs": {"a/../b": {"jobInputType": "literal", "value": "a"}}}, "properties.inputs.a/../b"),
        ({"inputs": [1]}, "inputs"),
        ({"limits": {"timeout": "4h"}}, "properties.limits.timeout"),
        ({"limits": {"timeout": "P"}}, "properties.limits.timeout"),
        ({"environmentVariables": {"A=B": "c"}}, "properties.environmentVariables"),
        ({"environmentVariables": {"A": "\0"}}, "properties.environmentVariables"),
    ],
)
def test_what_is_wrong_in_a_job_is_named(changes: dict[str, Any], target: str) -> None:
    with pytest.raises(ArmError) as error:
        read_command({**COMMAND, **changes})
    assert (error.value.status, error.value.target) == (400, target)


COMPONENT: dict[str, Any] = {
    "type": "command",
    "command": "train ${{inputs.data}} ${{inputs.n}} ${{inputs.flag}} $[[${{inputs.extra}}]] ${{outputs.model}}",
    "environment": "azureml:/subscriptions/s/environments/e/versions/1",
    "inputs": {
        "data": {"type": "uri_file"},
        "n": {"type": "integer", "default": "7"},
        "flag": {"type": "boolean", "default": "false"},
        "extra": {"type": "string", "optional": True},
    },
    "outputs": {"model": {"type": "mlflow_model"}},
}
PIPELINE: dict[str, Any] = {
    "inputs": {
        "rows": {"jobInputType": "uri_file", "uri": "azureml://x"},
        "n": {"jobInputType": "literal", "value": "9"},
    },
    "outputs": {"best": {"jobOutputType": "mlflow_model", "uri": "azureml://best"}},
}


def node(**inputs: str) -> dict[str, Any]:
    literals = {name: {"job_input_type": "literal", "value": value} for name, value in inputs.items()}
    return {"type": "command", "componentId": "c", "inputs": literals, "outputs": {}}


def test_a_node_takes_the_inputs_and_outputs_of_its_pipeline() -> None:
    given = node(data="${{parent.inputs.rows}}", n="${{parent.inputs.n}}")
    given["outputs"] = {"model": {"value": "${{parent.outputs.best}}", "type": "literal"}}
    task = read_node("train", given, COMPONENT, read_ports(PIPELINE), {})
    assert task.inputs["data"] == Port("uri_file", "azureml://x")
    assert {name: task.inputs[name].value for name in ("n", "flag")} == {"n": "9", "flag": "False"}
    assert task.outputs["model"] == Port("mlflow_model", "azureml://best")
    assert task.environment == "/subscriptions/s/environments/e/versions/1"
    assert "extra" not in task.inputs


def test_a_node_takes_the_output_of_a_node_before_it() -> None:
    after = node(data="${{parent.jobs.first.outputs.rows}}")
    assert list(read_nodes({"jobs": {"second": after, "first": node()}})) == ["first", "second"]
    made = {"first": {"rows": Port("uri_folder", "azureml://rows")}}
    assert read_node("second", after, COMPONENT, read_ports({}), made).inputs["data"] == made["first"]["rows"]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"n": "1"}, "has no value for its input 'data'"),
        ({"data": "${{parent.inputs.rows}}", "n": "1.5"}, "not of the type integer"),
        ({"data": "${{parent.inputs.rows}}", "flag": "maybe"}, "not of the type boolean"),
        ({"data": "${{parent.jobs.other.outputs.rows}}"}, "which is not there"),
    ],
)
def test_a_node_with_a_wrong_input_is_refused(inputs: dict[str, str], why: str) -> None:
    with pytest.raises(ArmError, match=why):
        read_node("train", node(**inputs), COMPONENT, read_ports(PIPELINE), {})


@pytest.mark.parametrize(
    ("jobs", "why"),
    [
        ({}, "at least one node"),
        ({"a": {"type": "spark", "componentId": "c"}}, "not a command"),
        ({"a": {"type": "command"}}, "componentId"),
        (
            {"a": node(x="${{parent.jobs.b.outputs.x}}"), "b": node(x="${{parent.jobs.a.outputs.x}}")},
            "wait for one another",
        ),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused(jobs: dict[str, Any], why: str) -> None:
    with pytest.raises(ArmError, match=why):
        read_nodes({"jobs": jobs})


def test_an_environment_runs_in_the_python_of_its_name() -> None:
    pythons = Pythons({"sklearn-1.5": "/own/python", "torch:7": "/seven/python"})
    registry = "azureml://registries/azureml/environments"
    assert pythons.of(f"{registry}/sklearn-1.5/labels/latest") == "/own/python"
    assert pythons.of(f"{registry}/SKLEARN-1.5/versions/12") == "/own/python"
    assert pythons.of("/subscriptions/s/environments/torch/versions/7") == "/seven/python"
    assert pythons.of("/subscriptions/s/environments/torch/versions/8") == sys.executable
