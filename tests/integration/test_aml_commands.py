"""The commands of `python -m aml`, run in this process against a server with jobs, models and endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from aml.__main__ import main
from aml.identity.tokens import issue
from local.azurite import Azurite
from service.listening import announced
from tests.support.aml_jobs import ended, submitted, with_data
from tests.support.serving import ServingHere, publish, serving


@pytest.fixture(scope="module")
def served(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingHere]:
    """A job that ended well, one that failed, and an endpoint with two deployments."""
    folder = tmp_path_factory.mktemp("commands")
    with (
        serving(folder / "aml", one_azurite.connection_string) as served,
        BlobServiceClient.from_connection_string(one_azurite.connection_string) as blobs,
        announced(folder / "aml", address=served.address, workspace=served.here.workspace.id),
    ):
        publish(served.here, folder)
        served.endpoint("income")
        for name, model in (("blue", "aye"), ("green", "nay")):
            served.deploy("income", name, model=f"models/{model}/versions/1")
        with_data(served.here, blobs)
        submitted(
            served.here,
            "good",
            "for n in 1 2 3; do echo line $n; done; echo ${{inputs.rate}} > ${{outputs.model}}",
            inputs={"rate": {"jobInputType": "literal", "value": "0.5"}},
            outputs={"model": {"jobOutputType": "uri_file"}},
            displayName="a good one",
            tags={"kind": "trial"},
        )
        submitted(served.here, "bad", "exit 3")
        assert (ended(served.here, "good"), ended(served.here, "bad")) == ("Completed", "Failed")
        log_metric(served, "good", "auc", 0.75)
        yield served


def log_metric(served: ServingHere, run: str, name: str, value: float) -> None:
    place = f"/mlflow/v1.0{served.here.workspace.id}/api/2.0/mlflow/runs/log-metric"
    assert served.here.call("POST", place, {"run_id": run, "key": name, "value": value, "step": 0}).status == 200


@dataclass
class Terminal:
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Return the exit code, what was printed, and what was printed on stderr."""
        code = main([*arguments, "--data", str(self.folder)])
        printed = self.capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, printed.out, printed.err

    def json(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def table(self, *arguments: str) -> list[list[str]]:
        """Return the words of each line."""
        code, out, err = self.run(*arguments)
        assert code == 0, err
        return [line.split() for line in out.splitlines()]


@pytest.fixture
def terminal(served: ServingHere, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(served.here.workspace.folder, capsys)


def test_each_kind_of_resource_is_listed(terminal: Terminal) -> None:
    def names(kind: str) -> list[str]:
        return [each["name"] for each in terminal.json("list", kind)]

    assert names("jobs") == ["bad", "good"]
    assert names("models") == ["nay", "aye"]
    assert names("endpoints") == ["income"]
    assert sorted(names("deployments")) == ["blue", "green"]
    assert names("environments") == ["python"]
    assert names("computes") == ["cpu-cluster"]
    assert sorted(names("datastores")) == ["served", "workspaceartifactstore", "workspaceblobstore"]
    assert names("components") == names("data") == []
    assert terminal.run("list", "components") == (0, "", "the workspace has no components yet\n")
    assert terminal.run("list", "batch-endpoints") == (0, "", "the workspace has no batch endpoints yet\n")


def test_a_list_is_a_table_of_what_a_person_looks_for(terminal: Terminal) -> None:
    assert terminal.table("list", "jobs")[0] == ["name", "status", "created", "experiment"]
    assert [row[:2] for row in terminal.table("jobs")[1:]] == [["bad", "Failed"], ["good", "Completed"]]
    assert terminal.table("list", "deployments")[1:] == [
        ["income", "green", "Succeeded", "1", "nay:1"],
        ["income", "blue", "Succeeded", "1", "aye:1"],
    ]
    assert terminal.table("endpoints")[1][:3] == ["income", "Succeeded", "Key"]


def test_a_list_that_was_cut_says_so(terminal: Terminal) -> None:
    code, out, err = terminal.run("list", "jobs", "--top", "1")
    assert (code, len(out.splitlines()), err) == (0, 2, "aml: the newest 1 are shown; --top N shows more\n")


def test_a_job_is_shown_with_its_inputs_outputs_metrics_and_error(terminal: Terminal) -> None:
    good = terminal.json("jobs", "good")
    assert (good["status"], good["title"], good["tags"]) == ("Completed", "a good one", {"kind": "trial"})
    assert good["inputs"] == {"rate": "0.5"}
    assert good["outputs"] == {"model": "azureml://jobs/good/outputs/model"}
    assert good["metrics"] == {"auc": 0.75}
    assert good["started"] <= good["ended"]
    table = terminal.table("jobs", "good")
    assert ["auc", "0.75"] in table
    assert ["status", "Completed"] in table
    code, out, _ = terminal.run("jobs", "bad")
    assert code == 0
    assert "3" in out.partition("error")[2]


def test_the_log_of_a_job_is_printed_whole_or_its_end(terminal: Terminal) -> None:
    assert terminal.run("logs", "good")[1] == "line 1\nline 2\nline 3\n"
    assert terminal.run("logs", "good", "--tail", "2")[1] == "line 2\nline 3\n"


def test_the_logs_of_a_deployment_are_printed(terminal: Terminal) -> None:
    code, out, _ = terminal.run("logs", "income", "blue", "--storage")
    assert code == 0
    assert "Downloading" in out
    assert terminal.run("logs", "income", "blue", "--tail", "1")[0] == 0
    assert terminal.run("logs", "good", "--storage")[0] == 2


def test_an_endpoint_is_shown_with_its_addresses_and_deployments(terminal: Terminal, served: ServingHere) -> None:
    table = terminal.table("endpoints", "income")
    assert ["scoring", f"{served.address}/score/income"] in table
    assert ["blue", "Succeeded", "1", "aye:1"] in table
    assert [each["name"] for each in terminal.json("endpoints", "income")["deployments"]] == ["green", "blue"]


def test_traffic_is_divided_and_what_is_not_named_stays(terminal: Terminal, served: ServingHere) -> None:
    before, key = served.here.call("GET", "onlineEndpoints/income").json, served.key("income")
    assert terminal.table("traffic", "income", "blue=100", "--mirror", "green=20")[1:] == [
        ["green", "0%", "20%"],
        ["blue", "100%"],
    ]
    assert served.score("income", {"input_data": [[1.0, 0.0]]}).json() == ["aye"]
    assert terminal.json("traffic", "income", "blue=90", "green=10%") == {
        "traffic": {"blue": 90, "green": 10},
        "mirrorTraffic": {},
    }
    assert terminal.json("traffic", "income")["traffic"] == {"blue": 90, "green": 10}
    after = served.here.call("GET", "onlineEndpoints/income").json
    for body in (before, after):
        for name in ("traffic", "mirrorTraffic", "properties"):
            body["properties"].pop(name)
        body.pop("systemData")
    assert (after, served.key("income")) == (before, key)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (["blue=50"], "The sum of the traffic is 50; it must be 0 or 100."),
        (["red=100"], "The deployment 'red' of 'traffic' is not there; make it first."),
        (["blue=100", "--mirror", "green=70"], "mirrorTraffic names one deployment, with 50 percent at most."),
    ],
)
def test_traffic_that_the_service_refuses_is_refused_with_its_reason(
    terminal: Terminal, parts: list[str], reason: str
) -> None:
    before = terminal.json("traffic", "income")
    code, out, err = terminal.run("traffic", "income", *parts)
    assert (code, out) == (1, "")
    assert err.rstrip().endswith(reason)
    assert terminal.json("traffic", "income") == before


@pytest.mark.parametrize("part", ["blue", "blue=", "=90", "blue=9x", "blue=-1", "blue=²"])
def test_a_part_that_cannot_be_read_is_refused_before_any_call(terminal: Terminal, part: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        terminal.run("traffic", "income", part)
    assert stopped.value.code == 2


def test_a_deployment_that_is_given_twice_is_refused(terminal: Terminal) -> None:
    assert terminal.run("traffic", "income", "blue=50", "Blue=50")[2] == "aml: the deployment 'blue' is given twice\n"


@pytest.mark.parametrize("command", [["jobs", "x"], ["endpoints", "x"], ["logs", "x"], ["logs", "income", "x"]])
def test_what_is_not_there_is_refused_with_the_services_reason(terminal: Terminal, command: list[str]) -> None:
    code, out, err = terminal.run(*command)
    assert (code, out) == (1, "")
    assert "answered 404" in err
    assert len(err.splitlines()) == 1


def test_without_a_server_a_command_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "jobs", "--data", str(tmp_path)]) == 2
    assert "start one: python -m aml serve" in capsys.readouterr().err


FILES = {
    "environment.yml": "name: sklearn\nversion: 1\nconda_file: conda.yml\nimage: python:3.12\n",
    "conda.yml": "dependencies: [python]\n",
    "component.yml": "type: command\nname: twice\nversion: 2\ninputs: {text: {type: string, default: a}}\n"
    "outputs: {out: {type: uri_folder}}\ncommand: echo ${{inputs.text}}${{inputs.text}} > ${{outputs.out}}/said.txt\n"
    "environment: azureml:sklearn@latest\n",
    "job.yml": "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json\nname: imported\n"
    "command: python main.py ${{inputs.rows}} ${{inputs.c}} $GREETING\ncode: src\nenvironment: azureml:sklearn:1\n"
    "environment_variables: {GREETING: hello}\ncompute: azureml:cpu-cluster\n"
    "inputs:\n  rows: {type: uri_file, path: rows.csv}\n  c: 0.5\nlimits: {timeout: 600}\n",
    "src/main.py": "import sys, helper; print(open(sys.argv[1]).read(), helper.NAME, *sys.argv[2:])\n",
    "src/helper.py": "NAME = 'helper'\n",
    "rows.csv": "a,b\n1,2\n",
    "pipeline.yml": "type: pipeline\nname: steps\nsettings: {default_compute: azureml:cpu-cluster}\n"
    "inputs: {word: b}\noutputs: {last: {type: uri_folder}}\njobs:\n"
    "  first:\n    component: azureml:twice:2\n    inputs: {text: '${{parent.inputs.word}}'}\n"
    "  second:\n    command: cat ${{inputs.said}}/said.txt > ${{outputs.out}}/last.txt\n"
    "    environment: azureml:sklearn:1\n    inputs: {said: '${{parent.jobs.first.outputs.out}}'}\n"
    "    outputs: {out: '${{parent.outputs.last}}'}\n"
    "  third:\n    component: ./component.yml\n",
    "endpoint.yml": "name: echoing\nauth_mode: key\n",
    "deployment.yml": "name: blue\nendpoint_name: echoing\nmodel: {path: src}\ninstance_count: 2\n"
    "code_configuration: {code: serving, scoring_script: score.py}\nenvironment: {image: 'python:3.12'}\n"
    "environment_variables: {NAME: blue}\nrequest_settings: {request_timeout_ms: 3000}\n"
    "liveness_probe: {initial_delay: 5}\n",
    "serving/score.py": "import json, os\ndef init(): pass\ndef run(raw):\n"
    "    return [os.environ['NAME'], sorted(os.listdir(os.environ['AZUREML_MODEL_DIR']))]\n",
    "model.yml": "name: files\ntype: custom_model\npath: src\ntags: {kind: test}\n",
    "counting.yml": "type: pipeline\nname: counting\nversion: 1\ninputs: {word: {type: string, default: b}}\n"
    "outputs: {last: {type: uri_folder}}\njobs:\n"
    "  first:\n    component: azureml:twice:2\n    inputs: {text: '${{parent.inputs.word}}'}\n"
    "    outputs: {out: '${{parent.outputs.last}}'}\n",
    "batch.yml": "$schema: https://azuremlschemas.azureedge.net/latest/batchEndpoint.schema.json\nname: counter\n",
    "starting.yml": "name: first\nendpoint_name: counter\ncomponent: azureml:counting:1\n"
    "settings: {default_compute: azureml:cpu-cluster}\n",
    "default.yml": "name: counter\ndefaults: {deployment_name: first}\n",
    "data.yml": "name: rows\ntype: uri_file\npath: rows.csv\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_files_of_az_ml_are_made_in_the_order_in_which_they_need_one_another(
    terminal: Terminal, served: ServingHere, files: Path
) -> None:
    names = ("deployment", "pipeline", "job", "endpoint", "component", "model", "data", "environment")
    made = terminal.json("import-yaml", *(str(files / f"{name}.yml") for name in names))
    assert [(each["made"], each["name"]) for each in made] == [
        ("environment", "sklearn:1"),
        ("data asset", "rows:1"),
        ("model", "files:1"),
        ("command component", "twice:2"),
        ("online endpoint", "echoing"),
        ("online deployment", "echoing/blue"),
        ("command job", "imported"),
        ("pipeline job", "steps"),
    ]
    assert ended(served.here, "imported") == "Completed", terminal.run("logs", "imported")
    assert terminal.run("logs", "imported")[1].split() == ["a,b", "1,2", "helper", "0.5", "hello"]
    assert ended(served.here, "steps") == "Completed", terminal.run("jobs", "steps")
    assert terminal.json("jobs", "steps")["children"] == dict.fromkeys(("first", "second", "third"), "Completed")
    assert served.score("echoing", {}, "blue").json() == ["blue", ["src"]]
    shown = terminal.json("endpoints", "echoing")["deployments"][0]
    assert (shown["sku"]["capacity"], shown["properties"]["requestSettings"]["requestTimeout"]) == (2, "PT3S")
    assert served.here.call("GET", "models/files").json["properties"]["latestVersion"] == "1"


def test_a_batch_endpoint_is_made_of_files_and_shown(terminal: Terminal, files: Path, served: ServingHere) -> None:
    names = ("starting", "batch", "counting")
    made = terminal.json("import-yaml", *(str(files / f"{name}.yml") for name in names))
    assert [(each["made"], each["name"]) for each in made] == [
        ("pipeline component", "counting:1"),
        ("batch endpoint", "counter"),
        ("batch deployment", "counter/first"),
    ]
    terminal.json("import-yaml", str(files / "default.yml"))
    terminal.json("import-yaml", str(files / "batch.yml"))  # which names no default, and leaves it
    assert terminal.table("list", "batch-endpoints")[1:] == [["counter", "Succeeded", "first"]]
    assert terminal.table("list", "batch-deployments")[1:] == [["counter", "first", "Succeeded", "counting:1"]]
    table = terminal.table("endpoints", "counter")
    assert ["default", "first"] in table
    assert ["first", "Succeeded", "counting:1"] in table
    token, _ = issue(served.here.workspace.identity, "https://ml.azure.com")
    called = served.here.call("POST", "/batch/counter/jobs", {"properties": {}}, token=token)
    assert ended(served.here, called.json["name"]) == "Completed", called.body


def test_a_file_that_comes_again_makes_a_new_version_or_nothing(
    terminal: Terminal, files: Path, served: ServingHere
) -> None:
    def made(name: str) -> str:
        return str(terminal.json("import-yaml", str(files / f"{name}.yml"))[0]["name"])

    before = served.here.names("codes")
    assert (made("model"), made("data"), made("environment"), made("job")) == (
        "files:2",
        "rows:2",
        "sklearn:1",
        "imported",
    )
    assert served.here.names("codes") == before


def test_a_mistake_in_one_file_is_found_before_anything_is_made(
    terminal: Terminal, files: Path, served: ServingHere
) -> None:
    wrong, before = files / "wrong.yml", served.here.names("models")
    wrong.write_text("name: a\nendpoint_name: echoing\nmodell: azureml:files:1\n")
    (files / "new.yml").write_text("name: fresh\ntype: custom_model\npath: src\n")
    code, out, err = terminal.run("import-yaml", str(files / "new.yml"), str(wrong), str(files / "gone.yml"))
    assert (code, out) == (2, "")
    assert f"{wrong}:3: 'modell' is not a key of an online deployment; did you mean 'model'?" in err
    assert f"{files / 'gone.yml'} cannot be read" in err
    assert served.here.names("models") == before


def test_what_the_service_refuses_of_a_file_is_refused_with_the_files_name(terminal: Terminal, files: Path) -> None:
    file = files / "refused.yml"
    file.write_text("command: echo\nenvironment: azureml:nowhere:1\ncompute: azureml:cpu-cluster\n")
    code, _, err = terminal.run("import-yaml", str(file))
    assert code == 1
    assert err.startswith(f"aml: {file}: ")
    assert "environments/nowhere/versions/1' is not there" in err
