"""What azd asks before it packages the app: whether the app could read its pipelines file there."""

from __future__ import annotations

import json
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
    give(tmp_path, deployed.sample_settings(ROOT))
    return tmp_path


def give(folder: Path, settings: object) -> None:
    (folder / predeploy.SETTINGS).write_text(json.dumps(settings), "utf-8")


def test_a_pipelines_file_whose_settings_are_all_given_is_deployed(folder: Path) -> None:
    named = yaml.safe_load((folder / "pipelines.yaml").read_text("utf-8"))["pipelines"]
    assert predeploy.check(folder) == sorted(named)


def test_keys_of_a_vault_count_as_given(folder: Path) -> None:
    settings = deployed.sample_settings(ROOT)
    keys = [name for name, value in settings.items() if value == "key"]
    assert keys
    give(folder, settings | {name: f"@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/{name})" for name in keys})
    assert predeploy.check(folder)


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


def test_what_is_wrong_is_said_with_the_file_of_the_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predeploy, "ROOT", folder)
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
