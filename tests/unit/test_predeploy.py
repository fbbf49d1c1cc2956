"""What azd asks before it packages the app: whether the app could read its pipelines file there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from local import deployed, predeploy
from local.children import ROOT
from shared.base.errors import BadConfiguration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the sample as its pipelines file, and every setting that it names."""
    (tmp_path / "infra").mkdir()
    shutil.copy(ROOT / "pipelines.sample.yaml", tmp_path / "pipelines.yaml")
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    shutil.copy(ROOT / ".funcignore", tmp_path)
    give(tmp_path, deployed.sample_settings(ROOT))
    return tmp_path


def give(folder: Path, settings: object) -> None:
    (folder / predeploy.SETTINGS).write_text(json.dumps(settings), "utf-8")


def test_a_pipelines_file_whose_settings_are_all_given_is_deployed(folder: Path) -> None:
    named = yaml.safe_load((folder / "pipelines.yaml").read_text("utf-8"))["pipelines"]
    assert predeploy.check(folder) == sorted(named)


@pytest.mark.parametrize("name", [*sorted(deployed.sample_settings(ROOT)), None])
def test_what_is_in_a_vault_counts_as_given_whatever_it_is(folder: Path, name: str | None) -> None:
    settings = deployed.sample_settings(ROOT)
    hidden = {each: f"@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/{each})" for each in settings}
    give(folder, hidden if name is None else settings | {name: hidden[name]})
    assert predeploy.check(folder)


def test_a_workspace_of_azure_machine_learning_may_be_in_a_vault(folder: Path) -> None:
    text = (ROOT / "samples/azureml/pipelines.yaml").read_text("utf-8").replace("../", "samples/")
    (folder / "pipelines.yaml").write_text(text, "utf-8")
    names = set(re.findall(r"\$\{(\w+)\}", text))
    assert "AML_WORKSPACE" in names
    give(folder, {name: f"@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/{name})" for name in names})
    assert predeploy.check(folder)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("/subscriptions/${PART}/resourceGroups/b/providers/Microsoft.MachineLearning/webServices/c", "a"),
        ("${PART}/providers/Microsoft.MachineLearning/webServices/c", "/subscriptions/a/resourceGroups/b"),
    ],
)
def test_a_part_of_a_resource_id_may_be_in_a_vault(folder: Path, value: str, part: str) -> None:
    file = folder / "pipelines.yaml"
    file.write_text(file.read_text("utf-8").replace("${BREAST_CANCER_NEW_ID}", value), "utf-8")
    for given in (part, "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/part)"):
        give(folder, deployed.sample_settings(ROOT) | {"PART": given})
        assert predeploy.check(folder)


WORKSPACE = "/subscriptions/a/resourceGroups/b/providers/Microsoft.MachineLearningServices/workspaces/c"


@pytest.mark.parametrize("behind", ["", "/workspaces/c", WORKSPACE.removeprefix("/subscriptions/a/resourceGroups/b")])
def test_the_id_of_a_workspace_may_be_in_a_vault_as_a_whole_or_in_part(folder: Path, behind: str) -> None:
    text = (ROOT / "samples" / "azureml" / "pipelines.yaml").read_text("utf-8").replace("../", "samples/")
    (folder / "pipelines.yaml").write_text(text.replace("${AML_WORKSPACE}", f"${{AML_WORKSPACE}}{behind}"), "utf-8")
    address = {"AML_ADDRESS": "https://management.azure.com"}
    for given in (WORKSPACE.removesuffix(behind), "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/id)"):
        give(folder, {"AML_WORKSPACE": given, **address})
        assert predeploy.check(folder) == ["breast-cancer"]
    give(folder, {"AML_WORKSPACE": "c", **address})
    with pytest.raises(BadConfiguration, match=r"\.workspace: .* is not the id of a workspace"):
        predeploy.check(folder)


def test_a_wrong_value_beside_one_in_a_vault_is_found(folder: Path) -> None:
    hidden = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/id)"
    give(folder, deployed.sample_settings(ROOT) | {"BREAST_CANCER_NEW_ID": hidden, "BREAST_CANCER_TRAINING_KEY": "a b"})
    with pytest.raises(BadConfiguration, match="no key has"):
        predeploy.check(folder)


@pytest.mark.parametrize("name", sorted(deployed.sample_settings(ROOT)))
def test_a_setting_that_the_templates_do_not_give_stops_the_deployment(folder: Path, name: str) -> None:
    settings = deployed.sample_settings(ROOT)
    del settings[name]
    give(folder, settings)
    with pytest.raises(BadConfiguration, match=f"Missing setting: {name}"):
        predeploy.check(folder)


@pytest.mark.parametrize("settings", [[], "text", {"INCOME_KEY": 5}, {"INCOME_KEY": {"a": "b"}}])
def test_settings_that_are_not_texts_stop_the_deployment(folder: Path, settings: object) -> None:
    give(folder, settings)
    with pytest.raises(BadConfiguration, match=r"pipeline-settings\.json"):
        predeploy.check(folder)


@pytest.mark.parametrize("name", ["pipelines.yaml", "samples/breast-cancer-rows.csv", predeploy.SETTINGS])
def test_a_missing_file_stops_the_deployment(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadConfiguration, match=Path(name).name):
        predeploy.check(folder)


@pytest.mark.parametrize("line", ["samples/", "*.csv", "pipelines.yaml"])
def test_a_file_that_stays_behind_stops_the_deployment(folder: Path, line: str) -> None:
    with (folder / ".funcignore").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BadConfiguration, match="does not exist"):
        predeploy.check(folder)


def test_the_messages_name_the_projects_folder_and_no_copy_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = folder / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    (folder / "pipelines.yaml").unlink()
    with (folder / ".funcignore").open("a") as file:
        file.write("copies/\n")
    with pytest.raises(BadConfiguration, match=re.escape(str(folder / "pipelines.yaml"))):
        predeploy.check(folder)
    assert [*copies.iterdir()] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-telemetry.txt"])
def test_telemetry_is_deployed_with_its_package_only(folder: Path, name: str) -> None:
    shutil.copy(ROOT / name, folder / "requirements.txt")
    predeploy.check_telemetry(folder, {"OPEN_TELEMETRY": "false"})
    predeploy.check_telemetry(folder, {})
    if name == "requirements.txt":
        with pytest.raises(BadConfiguration, match="cp requirements-telemetry"):
            predeploy.check_telemetry(folder, {"OPEN_TELEMETRY": "true"})
    else:
        predeploy.check_telemetry(folder, {"OPEN_TELEMETRY": "true"})


def test_what_is_wrong_is_said_with_the_file_of_the_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predeploy, "ROOT", folder)
    monkeypatch.delenv("OPEN_TELEMETRY", raising=False)
    monkeypatch.setattr("sys.argv", ["predeploy"])
    assert predeploy.main() == 0
    give(folder, {})
    assert predeploy.main() == 1
    assert predeploy.SETTINGS in capsys.readouterr().err


def test_azd_asks_before_it_makes_anything() -> None:
    [service] = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))["services"].values()
    # `azd up` packages, then makes the resources, then deploys.
    assert {hook["run"].split(maxsplit=1)[1] for hook in service["hooks"]["prepackage"].values()} == {
        "run.py predeploy"
    }
