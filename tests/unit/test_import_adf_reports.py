"""What `import-adf` cannot carry over is reported, and what cannot be read is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.domain.services import ClassicTarget
from tests.support.data_factory import (
    MEANT,
    PATCH,
    TRAINING,
    Import,
    blob,
    v1,
    v2,
    v2_batch,
    v2_update,
)


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)


def test_two_containers_are_reported_because_an_app_watches_one(imported: Import) -> None:
    inputs = {"input1": blob("elsewhere/income.csv")}
    outcome = imported.of(v2(v2_batch("a"), v2_batch("b", webServiceInputs=inputs)))
    assert "TRAINING_DATA_PATH: the training data lie in containers elsewhere, labeled" in outcome.said


def test_an_update_whose_file_is_computed_belongs_to_the_training_before_it(imported: Import) -> None:
    path = {"value": "@concat('out/', pipeline().parameters.name)", "type": "Expression"}
    update = v2_update()
    update["typeProperties"]["trainedModelFilePath"] = path

    outcome = imported.of(v2(v2_batch("other"), v2_batch("train"), update))

    assert [t["name"] for t in outcome.entries["income-train"]["targets"]] == ["update"]


def test_a_training_that_no_update_follows_has_a_target_to_fill_in(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch()))

    assert [target.name for target in outcome.filled()["income"].targets] == ["classic"]
    assert "activity 'train': no further update takes its model" in outcome.said


def test_a_batch_execution_that_scores_is_reported_and_no_entry(imported: Import) -> None:
    scoring = v2_batch("score", webServiceOutputs={"output1": blob("out/scored.csv")})

    outcome = imported.of(v2(scoring, v2_batch(), v2_update()))

    assert list(outcome.entries) == ["income"]
    assert "activity 'score': none of its outputs is an .ilearner: it scores, it does not train" in outcome.said


def test_an_activity_of_another_kind_is_reported_also_where_it_is_nested(imported: Import) -> None:
    loop = {
        "name": "each",
        "type": "ForEach",
        "typeProperties": {"items": {}, "activities": [v2_batch(), {"name": "copy", "type": "Copy"}]},
    }

    outcome = imported.of(v2(loop, v2_update(), {"name": "mail", "type": "WebActivity", "typeProperties": {}}))

    assert list(outcome.entries) == ["income"]
    for name, kind in {"each": "ForEach", "copy": "Copy", "mail": "WebActivity"}.items():
        assert f"pipeline.json: activity '{name}': {kind}: no counterpart here" in outcome.said


def test_keys_without_a_counterpart_are_reported(imported: Import) -> None:
    outcome = imported.of(v2(v2_batch(azureBatchPoolId="p"), v2_update(), parameters={"x": {"type": "String"}}))

    assert "activity 'train': typeProperties.azureBatchPoolId, policy.retry: no counterpart here" in outcome.said
    assert "pipeline 'Income': parameters: no counterpart here" in outcome.said


@pytest.mark.parametrize(
    "computed",
    [
        "@pipeline().parameters.x",
        "a @{pipeline().parameters.x}",
        "$$Text.Format('{0:yyyy}', SliceStart)",
        {"value": "@pipeline().parameters.x", "type": "Expression"},
    ],
)
def test_a_computed_parameter_is_to_be_filled_in(imported: Import, computed: object) -> None:
    outcome = imported.of(v2(v2_batch(globalParameters={"Database query": computed}), v2_update()))

    assert outcome.entries["income"]["training"]["parameters"] == {"Database query": "${FILL_IN_DATABASE_QUERY}"}
    assert "pipeline.json: activity 'train': globalParameters.Database query: an expression" in outcome.said
    assert "SliceStart" not in outcome.said
    outcome.filled()


def test_computed_addresses_and_names_are_asked_for(imported: Import) -> None:
    files = v2(v2_batch(), v2_update(model="@pipeline().parameters.model"))
    for file in ("training.json", "new.json"):
        members = files[file]["properties"]["typeProperties"]
        members |= {"mlEndpoint": "@{linkedService().url}/jobs", "updateResourceEndpoint": "@linkedService().update"}

    outcome = imported.of(files)

    (target,) = outcome.filled()["income"].targets
    assert isinstance(target, ClassicTarget)
    assert target.address == "https://h/NEW_ENDPOINT_UPDATE_ADDRESS"
    assert target.resource == MEANT["TRAINED_MODEL"]
    assert "TRAINING_ENDPOINT_ADDRESS: training.json: linked service 'trainingEndpoint': mlEndpoint" in outcome.said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Server user account password", "PASSWORD1"),
        ("Account key", "PARAMKEY=="),
        ("Source", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=PARAMKEY=="),
        ("Source", "https://user:PASSWORD1@host/x"),
        ("Source", "Server=x;Password=PASSWORD1"),
        ("Source", "https://a.example/c/b?sv=1&sig=PARAMKEY=="),
        ("Source", "A" * 78 + "PARAMKEY=="),
    ],
)
def test_a_parameter_that_may_be_a_key_becomes_a_setting(imported: Import, name: str, value: str) -> None:
    outcome = imported.of(v2(v2_batch(globalParameters={name: value}), v2_update()))

    written = outcome.entries["income"]["training"]["parameters"][name]
    assert written == f"${{TRAINING_ENDPOINT_{name.upper().replace(' ', '_')}}}"
    assert f"pipeline.json: activity 'train': globalParameters.{name}" in outcome.said
    outcome.filled()


def test_a_blob_path_with_a_signature_is_not_written(imported: Import) -> None:
    batch = v2_batch(webServiceInputs={"input1": blob("c/income.csv?sv=1&sig=PARAMKEY==")})
    assert imported.of(v2(batch, v2_update())).entries["income"]["blobs"] == "${FILL_IN_BLOBS}"


def test_missing_linked_services_and_data_sets_are_named_and_the_entry_still_loads(imported: Import) -> None:
    outcome = imported.of({"pipeline.json": v1()["pipeline.json"]})

    (found,) = outcome.filled().values()
    assert found.training.address == "https://h/TRAINING_ENDPOINT_ADDRESS"
    assert "activity 'retraining': linkedServiceName: 'trainingEndpoint' is in none of the files" in outcome.said
    assert "activity 'retraining': webServiceInputs.census: data set 'trainingData' is in none" in outcome.said


def test_a_service_without_input_port_name_or_input_is_reported(imported: Import) -> None:
    files = v1()
    inside = files["pipeline.json"]["properties"]["activities"][0]["typeProperties"]
    inside["webServiceInput"] = inside.pop("webServiceInputs")["census"]
    assert "webServiceInput names no port; input1 is assumed" in imported.of(files).said
    del inside["webServiceInput"]
    outcome = imported.of(files)
    assert "activity 'retraining': has no web service input" in outcome.said
    outcome.filled()


@pytest.mark.parametrize(
    ("path", "blobs"), [("labeled/income/*.csv", "income/*.csv"), ("labeled/income", "income/*"), ("@concat('a')", "")]
)
def test_the_path_of_an_import_data_module_becomes_the_folder_parameter(
    imported: Import, path: str, blobs: str
) -> None:
    parameters = {"Path to container, directory or blob": path, "Number of trees": "8"}
    files = v2(v2_batch(webServiceInputs={}, globalParameters=parameters), v2_update())
    outcome = imported.of(files)
    found = outcome.filled()["income"]
    assert found.training.folder == "Path to container, directory or blob"
    assert found.training.input is None
    assert found.training.parameters == {"Number of trees": "8"}
    assert found.blobs == (blobs or MEANT["BLOBS"])
    assert ("RETRAINING_STORE to the storage that the experiment imports from" in outcome.said) == bool(blobs)
    lacks = "globalParameters.Path to container, directory or blob: its file is an expression" in outcome.said
    assert lacks == (not blobs)


def test_the_default_endpoint_and_the_training_as_its_own_target_are_reported(imported: Import) -> None:
    files = v2(v2_batch(), v2_update(to="classic"))
    members = files["classic.json"]["properties"]["typeProperties"]
    members |= {"mlEndpoint": f"{TRAINING}/jobs", "updateResourceEndpoint": PATCH.replace("retrained", "default")}

    said = imported.of(files).said

    assert (
        "classic.json: linked service 'classicEndpoint': updateResourceEndpoint: the default endpoint takes no" in said
    )
    assert "classic.json: linked service 'classicEndpoint': mlEndpoint: is the address of the training" in said
