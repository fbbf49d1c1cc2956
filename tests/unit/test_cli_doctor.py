"""What `doctor` decides without a call to a service: settings, names of ports, clocks, rights, versions."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from local.children import ROOT
from shared.__main__ import main
from shared.adapters.permissions import allows
from shared.adapters.studio.arm_rights import WRITE
from shared.adapters.studio.swagger import read_description
from shared.app import App
from shared.base.errors import AccessRefused, ServiceRefused, ServiceUnavailable
from shared.base.secret import Secret
from shared.base.settings import Settings
from shared.cli.doctor import parts, versions
from shared.cli.doctor import settings as of_settings
from shared.cli.doctor.command import in_time
from shared.cli.doctor.finding import Finding, Health, looked, ok, wrong
from shared.cli.doctor.services import kind_of_rules, label_column, scoring_ports, training_ports
from shared.cli.doctor.storage import skew
from shared.cli.place import FAILED, Stopped
from shared.domain.gate.rules import parse_rule
from shared.domain.rows import Rows
from shared.domain.services import Description, ScoringService, TrainingService
from shared.domain.values import Address

WITH_KEY = f"AccountName=a;AccountKey={b64encode(bytes(64)).decode()}"
ADDRESS, KEY = Address("https://studio.example"), Secret("key")
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def bad(findings: list[Finding]) -> dict[str, str]:
    return {each.what: each.found for each in findings if each.health is not Health.OK}


def test_the_committed_sample_of_settings_is_well() -> None:
    values = json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"]
    assert bad(list(of_settings.look(Settings(values)))) == {}


def test_every_missing_unresolved_or_malformed_setting_is_reported_at_once() -> None:
    values = {
        "AzureWebJobsStorage__accountName": "store",
        "TRAINING_DATA__blobServiceUri": "https://store.blob.core.windows.net",
        "TRAINING_DATA_PATH": "training-data",
        "TRAINING_DATA_SOURCE": "telepathy",
        "RETRAINING_STORE": "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/x)",
        "PROMOTIONS": "UseDevelopmentStorage=true",
        "PROMOTIONS_QUEUE": "Model_Promotions",
        "POLL_SCHEDULE": "*/15 * * * *",
    }
    found = bad(list(of_settings.look(Settings(values))))
    assert set(found) == {
        f"setting {name}"
        for name in (
            "TRAINING_DATA",
            "RETRAINING_STORE",
            "PROMOTIONS",
            "TRAINING_DATA_PATH",
            "TRAINING_DATA_SOURCE",
            "PROMOTIONS_QUEUE",
            "POLL_SCHEDULE",
            "SWEEP_SCHEDULE",
        )
    }
    assert "was not resolved" in found["setting RETRAINING_STORE"]


def test_a_wrong_value_is_shown_unless_it_may_be_a_secret() -> None:
    found = bad(list(of_settings.look(Settings({"POLL_SCHEDULE": "often", "PROMOTIONS_QUEUE": "x" * 60}))))
    assert found["setting POLL_SCHEDULE"] == "is 'often'"
    assert found["setting PROMOTIONS_QUEUE"] == "is a value that does not fit"
    found = bad(list(of_settings.look(Settings({"TRAINING_DATA_PATH": "AccountKey=abc"}))))
    assert "abc" not in found["setting TRAINING_DATA_PATH"]


def test_a_part_of_an_account_key_is_noticed_by_its_length() -> None:
    text = "AccountName=a;AccountKey={};EndpointSuffix=core.windows.net"
    whole, part = b64encode(bytes(64)).decode(), b64encode(bytes(60)).decode()
    found = bad(list(of_settings.look(Settings({"RETRAINING_STORE": text.format(part)}))))
    assert found["setting RETRAINING_STORE"].startswith("its AccountKey has 80 characters")
    found = bad(list(of_settings.look(Settings({"RETRAINING_STORE": text.format(whole)}))))
    assert "characters" not in found["setting RETRAINING_STORE"]


@pytest.mark.parametrize(
    ("name", "value", "health", "said"),
    [
        ("AzureWebJobsStorage", "UseDevelopmentStorage=true", Health.OK, "Azurite on its usual ports"),
        ("PROMOTIONS", "UseDevelopmentStorage=true;", Health.WRONG, "is UseDevelopmentStorage=true, which is not read"),
        ("TRAINING_DATA", f"{WITH_KEY};EndpointSuffix=core.windows.net", Health.WARNING, "opens the whole account"),
        ("TRAINING_DATA", f"{WITH_KEY};BlobEndpoint=https://a.example/b", Health.WARNING, "opens the whole account"),
        ("TRAINING_DATA", f"{WITH_KEY};BlobEndpoint=http://127.0.0.1:1/a;", Health.OK, "on this machine"),
        ("PROMOTIONS", f"{WITH_KEY};QueueEndpoint=http://[::1]:1/a", Health.OK, "on this machine"),
        (
            "TRAINING_DATA",
            "BlobEndpoint=https://a;SharedAccessSignature=sv=x&sig=y",
            Health.WRONG,
            "a shared access sig",
        ),
        (
            "AzureWebJobsStorage",
            "BlobEndpoint=https://a;SharedAccessSignature=sig=y",
            Health.WRONG,
            "a shared access sig",
        ),
        (
            "RETRAINING_STORE",
            "https://a.blob.core.windows.net/?sig=y",
            Health.WRONG,
            "is not a storage connection string",
        ),
    ],
)
def test_a_connection_string_is_named_by_its_kind(name: str, value: str, health: Health, said: str) -> None:
    [found] = [each for each in of_settings.look(Settings({name: value})) if each.what == f"setting {name}"]
    assert (found.health, said in found.found, "sig=y" in found.found) == (health, True, False)


def test_a_setting_that_is_wrong_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sas = "BlobEndpoint=https://127.0.0.1:1/;QueueEndpoint=https://127.0.0.1:1/;SharedAccessSignature=sig=y"
    names = ("TRAINING_DATA", "RETRAINING_STORE", "PROMOTIONS")
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"Values": {**dict.fromkeys(names, sas), "PROMOTIONS_QUEUE": "promotions"}}))
    assert main(["doctor", "--json", "--settings", str(file)]) == FAILED
    found = [each["told"] for each in json.loads(capsys.readouterr().out) if "a shared access" in each["told"]]
    assert [text.split()[1] for text in found] == list(names)


def test_every_part_of_the_app_is_built_and_its_error_is_found_once() -> None:
    store = f"AccountName=a;AccountKey={b64encode(bytes(64)).decode()};EndpointSuffix=core.windows.net"
    stores = dict.fromkeys(("RETRAINING_STORE", "TRAINING_DATA", "PROMOTIONS"), store)
    settings = {**stores, "PROMOTIONS_QUEUE": "promotions", "KEEP_MODELS": "ten", "PIPELINES_FILE": "gone.yaml"}
    found = list(parts.look(App(Settings(settings)), []))
    [keep] = [each for each in found if "KEEP_MODELS is 'ten'" in each.found]
    assert keep.health is Health.WRONG
    [file] = [each for each in found if "gone.yaml does not exist" in each.found]
    assert list(parts.look(App(Settings(settings)), [keep, file])) == []
    setting = wrong("setting KEEP_MODELS", "is not a number", "write one")
    assert [each.found for each in parts.look(App(Settings(settings)), [setting])] == [file.found]


def test_a_look_that_hangs_is_given_up_and_named() -> None:
    hanging = Event()

    def looks() -> Iterator[Finding]:
        yield ok("the first", "answers")
        hanging.wait(600)
        yield ok("the second", "answers")

    try:
        first, given_up = in_time(looks(), 0.2)
    finally:
        hanging.set()
    assert first.what == "the first"
    assert (given_up.health, given_up.found) == (
        Health.WRONG,
        "gave up after 0.2 s; the last that was looked at is the first",
    )


def test_an_error_of_a_look_reaches_the_command() -> None:
    def looks() -> Iterator[Finding]:
        yield ok("the first", "answers")
        raise Stopped("this pipeline does not exist")

    with pytest.raises(Stopped, match="this pipeline does not exist"):
        list(in_time(looks(), 60))


@pytest.mark.parametrize(
    ("rule", "columns", "said"),
    [
        (
            "Accuracy >= 0.9",
            ['Scored Probabilities for Class "a"', "Scored Labels"],
            "the live model is a multiclass one",
        ),
        ("AUC >= 0.9", ["Scored Labels"], "the live model is a regression one"),
        ("AUC >= 0.9", ["Scored Labels", "Scored Probabilities"], "name metrics of two-class models"),
    ],
)
def test_metrics_of_another_kind_of_model_are_wrong(rule: str, columns: list[str], said: str) -> None:
    found = kind_of_rules("gate", [parse_rule(rule)], columns)
    assert said in found.found
    assert (found.health is Health.OK) == ("name metrics" in said)


def test_every_setting_that_the_pipelines_file_names_is_looked_for_but_not_those_in_comments(tmp_path: Path) -> None:
    file = tmp_path / "pipelines.yaml"
    file.write_text("# ${NAME} takes a setting\nkey: ${KEY}   # not ${OTHER}\naddress: ${ADDRESS}/x\n", "utf-8")
    found = list(of_settings.of_the_file(file, Settings({"KEY": "x"})))
    assert [each.what for each in found] == ["setting ADDRESS", "setting KEY"]
    assert bad(found) == {"setting ADDRESS": "is missing"}


DOCUMENT = {
    "definitions": {
        "ExecutionRequest": {
            "properties": {"Inputs": {"$ref": "#/definitions/ExecutionInputs"}},
            "example": {"GlobalParameters": {"Rows": ""}},
        },
        "ExecutionInputs": {"properties": {"input1": {"type": "array"}}},
        "ExecutionResponse": {"properties": {"Results": {"properties": {"output1": {}}}}},
        "JobRequest": {"properties": {"Outputs": {}}, "example": {"Outputs": {"output2": {}}}},
        "input1Item": {"properties": {"age": {}, "income": {}}},
    }
}


def test_ports_are_read_from_schemas_references_and_examples() -> None:
    found = read_description(DOCUMENT)
    assert (found.inputs, found.parameters) == ({"input1"}, {"Rows"})
    assert found.outputs == {"output1", "output2"}
    assert found.columns == {"input1": {"age", "income"}}


def test_a_port_that_the_service_does_not_have_is_named_with_those_that_it_has() -> None:
    training = TrainingService(
        address=ADDRESS, key=KEY, model="output1", evaluation="outptu2", scored="rest", parameters={"Row": "1"}
    )
    found = {each.what: each for each in training_ports("t", training, read_description(DOCUMENT))}
    assert {what for what, each in found.items() if each.health is Health.WRONG} == {
        "t.evaluation",
        "t.scored",
        "t.parameters",
    }
    assert found["t.evaluation"].remedy == "did you mean 'output2'?"
    assert found["t.scored"].remedy == "there are output1, output2"


def test_a_service_that_describes_no_ports_is_not_called_wrong() -> None:
    nothing = Description(frozenset(), frozenset(), frozenset(), {})
    training = TrainingService(address=ADDRESS, key=KEY, model="output1", evaluation="output2")
    assert {each.health for each in training_ports("t", training, nothing)} == {Health.WARNING}


@pytest.mark.parametrize(
    ("label", "columns", "health"),
    [
        ("income", ["age", "income"], [Health.OK]),
        ("incom", ["age", "income"], [Health.WRONG]),
        ("incom", [], []),
        (None, ["age"], []),
    ],
)
def test_the_label_is_compared_with_the_columns_of_the_training(
    label: str | None, columns: list[str], health: list[Health]
) -> None:
    found = Description(frozenset(), frozenset(), frozenset(), {"input1": frozenset(columns)})
    assert [each.health for each in label_column("c.label", label, "input1", found)] == health


def test_columns_of_the_proof_rows_are_compared_with_the_input() -> None:
    scoring, rows = ScoringService(address=ADDRESS, key=KEY), Rows(["age", "aeg"], [])
    found = list(scoring_ports("s", scoring, rows, read_description(DOCUMENT)))
    said = [each.found for each in found if each.health is Health.WARNING]
    assert said == [
        "the proof's rows have the column 'aeg', and the service's input does not",
        "the proof's rows lack the input's column 'income'",
    ]


@pytest.mark.parametrize(
    ("date", "health"),
    [
        ("Tue, 24 Nov 2026 03:00:30 GMT", Health.OK),
        ("Tue, 24 Nov 2026 03:02:00 GMT", Health.WRONG),
        ("Tue, 24 Nov 2026 02:50:00 GMT", Health.WRONG),
        ("", Health.OK),
    ],
)
def test_a_clock_that_is_off_by_more_than_a_minute_is_wrong(date: str, health: Health) -> None:
    assert skew("storage", date, NOW).health is health


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        ([{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}], True),  # Contributor
        ([{"actions": ["*/read"], "notActions": []}], False),  # Reader
        ([{"actions": ["*"], "notActions": ["microsoft.machinelearning/webservices/*"]}], False),
        ([{"actions": ["*/read"]}, {"actions": ["Microsoft.MachineLearning/webServices/*"]}], True),
        ([], False),
    ],
)
def test_rights_are_read_as_role_definitions_write_them(permissions: list[dict[str, list[str]]], allowed: bool) -> None:
    assert allows(permissions, WRITE) is allowed


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AccessRefused("answered 401"), "copy the key again into the setting that t.key names"),
        (ServiceRefused("answered 404", 404), "correct t.address"),
        (ServiceRefused("answered 400", 400, ["BadArgument"]), "the line has the service's own reason"),
        (ServiceUnavailable("no answer"), "check t.address, the network"),
    ],
)
def test_what_to_do_follows_from_what_went_wrong(error: Exception, said: str) -> None:
    def look() -> str:
        raise error

    found = looked("t", look, "t.key", "t.address")
    assert found.health is Health.WRONG
    assert said in found.remedy


def test_another_version_than_the_tested_one_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# why\nmsgspec==0.0.1 \\\n    --hash=sha256:0\nno-such-package==1.0\n"
        "other==1; python_version < '3.0'\nrequests==0.1 ; python_version < '3.0' \\\n    --hash=sha256:0\n",
        "utf-8",
    )
    [python, packages] = versions.look(file)
    assert python.found == ".".join(map(str, sys.version_info[:3]))
    assert "msgspec is " in packages.found
    assert "no-such-package is not installed" in packages.found
    assert "other" not in packages.found
    assert "requests is " in packages.found
