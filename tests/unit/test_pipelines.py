"""The configuration: a mistake names the file, the key, what is wrong and what would be right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from local.children import ROOT
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.configuration.file import schema
from shared.configuration.loading import load_pipelines
from shared.domain.pipelines import Pipeline

SETTINGS = {
    "BREAST_CANCER_TRAINING_ADDRESS": "https://studio.example/workspaces/w/services/t",
    "BREAST_CANCER_TRAINING_KEY": "key-one",
    "BREAST_CANCER_CLASSIC_ADDRESS": "https://studio.example/workspaces/w/webservices/s/endpoints/retrained",
    "BREAST_CANCER_CLASSIC_SCORING_ADDRESS": "https://studio.example/workspaces/w/services/e",
    "BREAST_CANCER_CLASSIC_KEY": "key-two",
    "ARM_ADDRESS": "https://management.example",
    "ARM_TOKEN": "token-three",
    "BREAST_CANCER_NEW_ID": "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearning/webServices/w",
    "BREAST_CANCER_NEW_SCORING_ADDRESS": "https://studio.example/subscriptions/s/services/n",
    "BREAST_CANCER_NEW_KEY": "key-four",
}


@pytest.fixture
def sample(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "samples").mkdir()
    rows = (ROOT / "samples" / "breast-cancer-rows.csv").read_bytes()
    (tmp_path / "samples" / "breast-cancer-rows.csv").write_bytes(rows)
    found: dict[str, object] = yaml.safe_load((ROOT / "pipelines.sample.yaml").read_text("utf-8"))
    return found


def load(folder: Path, content: object, settings: dict[str, str] | None = None) -> dict[str, Pipeline]:
    file = folder / "pipelines.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    return load_pipelines(file, Settings(SETTINGS if settings is None else settings))


def test_the_committed_sample_is_valid(sample: dict[str, object], tmp_path: Path) -> None:
    load(tmp_path, sample)


def test_the_committed_schema_agrees_with_the_code() -> None:
    committed = json.loads((ROOT / "pipelines.schema.json").read_text("utf-8"))
    assert committed == json.loads(json.dumps(schema())), (
        "write it again: python -m shared schema > pipelines.schema.json"
    )


def test_the_sample_is_valid_by_the_schema_and_a_mistake_is_not(sample: dict[str, object]) -> None:
    validator = Draft202012Validator(json.loads((ROOT / "pipelines.schema.json").read_text("utf-8")))
    assert [error.message for error in validator.iter_errors(sample)] == []
    sample["pipelines"]["breast-cancer"]["gate"]["rule"] = []  # type: ignore[index]
    assert [error.message for error in validator.iter_errors(sample)] != []


def test_no_key_shows_in_the_configuration(sample: dict[str, object], tmp_path: Path) -> None:
    shown = repr(load(tmp_path, sample))
    assert not [key for key in ("key-one", "key-two", "token-three", "key-four") if key in shown]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("training", "adress"), "x", r"pipelines\.breast-cancer\.training\.adress.*did you mean 'address'"),
        (("training", "address"), "http://studio.example/x", r"\.training\.address.*unencrypted"),
        (("training", "address"), "studio", r"\.training\.address.*is not an address; write https://"),
        (("training", "running"), "4 hours", r"\.training\.running.*not a time span; write 30s"),
        (("gate", "rules"), ["AUC > best"], r"\.gate\.rules\[0\].*is not a rule"),
        (("gate", "rules"), ["Recal >= 0.5"], r"\.gate\.rules\[0\].*did you mean 'Recall'"),
        (("gate", "rules"), [], r"\.gate\.rules"),
        (("gate", "baseline"), {"AUK": 1.0}, r"\.gate\.baseline"),
        (("gate", "rules"), ["AUC > 0.9", "RMSE < 3"], r"\.gate\.rules\[1\]: Root Mean Squared Error is of regression"),
        (("targets",), [], r"\.targets"),
        (("proof", "rows"), "nowhere.csv", r"\.proof\.rows.*nowhere\.csv does not exist"),
        (("blobs",), 7, r"\.blobs.*Expected `str`"),
        (("training", "parameters"), {"a": "x", "b": 0.7}, r"\.training\.parameters\.b: .*; write it in quotes"),
        (("gate", "baseline"), {"AUC": "0.9"}, r"\.gate\.baseline\.AUC: .*; write a number, without quotes"),
        (("checks", "columns"), "age, income", r"\.checks\.columns: .*; write a list: \[a, b\]"),
        (("training", "folder"), "Path", r"\.training: has 'input' and 'folder', and .* remove one"),
        (("training", "cancel_late"), "yes", r"\.training\.cancel_late: .*; write true or false"),
        (("training",), None, r"\.training: .*; write keys and their values below it"),
        (("training", "running"), "999999999d", r"\.training\.running.*up to 365d"),
        (("training", "key"), "abc…", r"\.training\.key: has a space or a sign that no key has"),
        (("training", "key"), "${NO-NAME}", r"\.training\.key: '\$\{NO-NAME\}' names no setting; write \$\{NAME\}"),
        (("targets", 0, "kind"), "old", r"\.targets\[0\]\.kind: Invalid value 'old'; write one of: classic, new"),
        (
            ("targets", 1, "resource"),
            "x",
            r"\.targets\[1\]\.resource: .*known keys: address, asset, id, kind, name, sco",
        ),
        (("targets", 0, "scoring", "adress"), "x", r"\.targets\[0\]\.scoring\.adress: .*did you mean 'address'"),
        (("proof", "rows"), "samples", r"\.proof\.rows: samples cannot be read"),
    ],
)
def test_a_mistake_names_the_key_what_is_wrong_and_what_would_be_right(
    sample: dict[str, object], tmp_path: Path, path: tuple[str | int, ...], value: object, said: str
) -> None:
    part: Any = sample["pipelines"]["breast-cancer"]  # type: ignore[index]
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(BadConfiguration, match=said) as raised:
        load(tmp_path, sample)
    assert str(raised.value).startswith("pipelines.yaml: ")


def test_data_goes_by_an_input_port_or_by_a_parameter_that_nothing_else_gives(
    sample: dict[str, object], tmp_path: Path
) -> None:
    training: Any = sample["pipelines"]["breast-cancer"]["training"]  # type: ignore[index]
    del training["input"]
    loaded: Any = load(tmp_path, sample)
    assert loaded["breast-cancer"].training.port == "input1"
    training["folder"] = "Path to container"
    loaded = load(tmp_path, sample)
    assert loaded["breast-cancer"].training.folder == "Path to container"
    training["parameters"]["Path to container"] = "mine"
    with pytest.raises(BadConfiguration, match=r"\.training\.parameters\.Path to container: .*remove it here"):
        load(tmp_path, sample)


@pytest.mark.parametrize("place", [("training", "address"), ("targets", 1, "id")])
def test_a_key_in_the_place_of_something_else_is_not_shown(
    sample: dict[str, object], tmp_path: Path, place: tuple[str | int, ...]
) -> None:
    part: Any = sample["pipelines"]["breast-cancer"]  # type: ignore[index]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = "${ARM_TOKEN}"
    with pytest.raises(BadConfiguration, match="what stands there is no") as raised:
        load(tmp_path, sample)
    assert "token-three" not in str(raised.value)


def test_with_scored_rows_no_baseline_is_needed_but_of_what_rows_cannot_tell(
    sample: dict[str, object], tmp_path: Path
) -> None:
    part: Any = sample["pipelines"]["breast-cancer"]  # type: ignore[index]
    part["training"]["scored"] = "output3"
    part["gate"] = {"rules": ["AUC > champion", "for each sex: Recall > champion or Recall > 0.9"]}
    gate = load(tmp_path, sample)["breast-cancer"].gate
    assert (gate.needs_rows, gate.label, gate.baseline) == (True, "diagnosis", {})
    part["gate"]["label"] = "other"
    assert load(tmp_path, sample)["breast-cancer"].gate.label == "other"
    part["gate"] = {"rules": ["Training Log Loss > champion"]}
    with pytest.raises(BadConfiguration, match=r"\.gate\.baseline: .*give the Training Log Loss"):
        load(tmp_path, sample)
    part["gate"] = {"rules": ["for each sex: Training Log Loss > 1"]}
    with pytest.raises(BadConfiguration, match=r"\.gate\.rules\[0\]: Training Log Loss cannot be computed from scored"):
        load(tmp_path, sample)


def test_rows_that_are_judged_need_a_label(sample: dict[str, object], tmp_path: Path) -> None:
    part: Any = sample["pipelines"]["breast-cancer"]  # type: ignore[index]
    part["training"]["scored"] = "output3"
    del part["checks"]["label"]
    with pytest.raises(BadConfiguration, match=r"\.gate\.label: is missing: name the column that has the truth"):
        load(tmp_path, sample)
    part["gate"]["rules"] = ["AUC >= 0.9"]
    load(tmp_path, sample)


def test_a_key_that_stands_twice_is_a_mistake_and_merged_keys_are_none(
    sample: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text("pipelines:\n  income: {}\n  income: {}\n", "utf-8")
    with pytest.raises(BadConfiguration, match=r"pipelines\.yaml:3:3: is not YAML: the key 'income' stands twice$"):
        load_pipelines(file, Settings(SETTINGS))
    text = yaml.safe_dump(sample)
    file.write_text(text.replace("  breast-cancer:\n", "  breast-cancer:\n    <<: {blobs: other.csv}\n"), "utf-8")
    assert load_pipelines(file, Settings(SETTINGS))["breast-cancer"].blobs == "breast-cancer/*.csv"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pipelines:\n  income: {\n", r"pipelines\.yaml:3:1: is not YAML: while parsing a flow "),
        ("pipelines:\n\tincome: {}\n", r"pipelines\.yaml:2:1: is not YAML: while scanning for the next token found"),
        ("a: b: c\n", r"pipelines\.yaml:1:5: is not YAML: mapping values are not allowed here"),
    ],
)
def test_a_mistake_of_yaml_is_one_line_with_file_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(BadConfiguration, match=said) as raised:
        load_pipelines(file, Settings(SETTINGS))
    assert "\n" not in str(raised.value)


def test_a_wrong_value_is_shown_unless_it_is_a_setting_or_long(sample: dict[str, object], tmp_path: Path) -> None:
    gate: Any = sample["pipelines"]["breast-cancer"]["gate"]  # type: ignore[index]
    gate["confidence"] = "much"
    with pytest.raises(BadConfiguration, match=r"\.gate\.confidence: is 'much': Expected `float`.*write a number"):
        load(tmp_path, sample)
    for hidden in ("${BREAST_CANCER_TRAINING_KEY}", "k" * 40):
        gate["confidence"] = hidden
        with pytest.raises(BadConfiguration, match=r"\.gate\.confidence: ") as raised:
            load(tmp_path, sample)
        assert SETTINGS["BREAST_CANCER_TRAINING_KEY"] not in str(raised.value)
        assert "k" * 40 not in str(raised.value)


def test_a_metric_of_two_classes_for_a_label_of_three_is_a_mistake(sample: dict[str, object], tmp_path: Path) -> None:
    entry: Any = sample["pipelines"]["breast-cancer"]  # type: ignore[index]
    entry["checks"]["columns"].append({"name": "diagnosis", "values": ["a", "b", "c"]})
    entry["gate"]["rules"] = ["Accuracy >= 0.9"]
    with pytest.raises(BadConfiguration, match=r"Accuracy is a metric of two-class .* 3 values; .*Overall accuracy, "):
        load(tmp_path, sample)
    entry["gate"]["rules"] = ["Overall accuracy >= 0.9"]
    assert load(tmp_path, sample)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=f"{re.escape(str(tmp_path))} cannot be read"):
        load_pipelines(tmp_path, Settings(SETTINGS))
    with pytest.raises(BadConfiguration, match=r"copy pipelines\.sample\.yaml there"):
        load_pipelines(tmp_path / "none.yaml", Settings(SETTINGS))


def test_a_missing_setting_is_named_with_the_key_that_needs_it(sample: dict[str, object], tmp_path: Path) -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != "ARM_TOKEN"}
    with pytest.raises(BadConfiguration, match=r"\.targets\[1\]\.token: Missing setting: ARM_TOKEN"):
        load(tmp_path, sample, settings)


def test_a_malformed_resource_id_shows_the_right_form(sample: dict[str, object], tmp_path: Path) -> None:
    settings = {**SETTINGS, "BREAST_CANCER_NEW_ID": "webServices/w"}
    with pytest.raises(BadConfiguration, match=r"\.targets\[1\]\.id: 'webServices/w' is not a resource id; write /sub"):
        load(tmp_path, sample, settings)


def test_an_unresolved_key_vault_reference_is_an_error_and_never_a_key(
    sample: dict[str, object], tmp_path: Path
) -> None:
    settings = {**SETTINGS, "ARM_TOKEN": "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/x)"}
    with pytest.raises(BadConfiguration, match=r"ARM_TOKEN is a Key Vault reference that was not resolved"):
        load(tmp_path, sample, settings)


def test_two_pipelines_cannot_share_a_target(sample: dict[str, object], tmp_path: Path) -> None:
    pipelines: dict[str, object] = sample["pipelines"]  # type: ignore[assignment]
    pipelines["other"] = pipelines["breast-cancer"]
    with pytest.raises(BadConfiguration, match="two pipelines would overwrite each other"):
        load(tmp_path, sample)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "AUC >= champion",
            r"\.training\.scored: is missing.*give the AUC of the model that is live now in gate\.baseline",
        ),
        ("Recall > 0 or Recall > champion", r"\.training\.scored: is missing, and 'Recall > champion' .*the Recall of"),
        ("for each sex: AUC > 0.9", r"\.gate\.rules\[0\].*name the output port .* training\.scored"),
    ],
)
def test_a_rule_that_needs_scored_rows_or_a_baseline_and_has_none_is_found_at_the_start(
    sample: dict[str, object], tmp_path: Path, rule: str, said: str
) -> None:
    part: Any = sample["pipelines"]["breast-cancer"]  # type: ignore[index]
    part["gate"]["rules"] = [rule]
    del part["training"]["scored"]
    with pytest.raises(BadConfiguration, match=said):
        load(tmp_path, sample)
