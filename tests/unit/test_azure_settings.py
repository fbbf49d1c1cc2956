"""What `run.py azure-settings` makes of the deployed app's settings."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from local import azure_settings, deployed
from local.children import ROOT
from shared.base.errors import BadConfiguration
from shared.base.settings import read_settings

REFERENCE = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/income)"


def no_secret(arguments: Sequence[str]) -> str:
    raise AssertionError(arguments)


def test_the_apps_settings_are_kept_without_the_members_that_name_its_identity() -> None:
    listed = deployed.settings(ROOT)
    values = azure_settings.local_values(listed, no_secret)
    left_out = set(listed) - set(values)
    assert left_out == {name for name in listed if name.endswith(("__credential", "__clientId"))} != set()
    assert values == {name: listed[name] for name in listed.keys() - left_out} | {"FUNCTIONS_WORKER_RUNTIME": "python"}


@pytest.mark.parametrize(
    ("reference", "asked"),
    [
        (REFERENCE, ["--id", "https://v.vault.azure.net/secrets/income"]),
        (f"{REFERENCE[:-1]}/)", ["--id", "https://v.vault.azure.net/secrets/income"]),
        (f"{REFERENCE[:-1]}/ab12)", ["--id", "https://v.vault.azure.net/secrets/income/ab12"]),
        ("@Microsoft.KeyVault(VaultName=v;SecretName=income)", ["--vault-name", "v", "--name", "income"]),
        (
            "@Microsoft.KeyVault(VaultName=v;SecretName=income;SecretVersion=ab)",
            ["--vault-name", "v", "--name", "income", "--version", "ab"],
        ),
    ],
)
def test_a_key_of_a_vault_is_read_from_it(reference: str, asked: list[str]) -> None:
    calls = []

    def read(arguments: Sequence[str]) -> str:
        calls.append(list(arguments))
        return json.dumps({"id": "https://v.vault.azure.net/secrets/income/1", "value": "the key"})

    assert azure_settings.local_values({"INCOME_KEY": reference}, read)["INCOME_KEY"] == "the key"
    assert calls == [["keyvault", "secret", "show", *asked]]


@pytest.mark.parametrize("reference", ["@Microsoft.KeyVault(", "@Microsoft.KeyVault(Secret=a)", f"{REFERENCE} "])
def test_a_reference_of_another_form_is_refused_by_the_settings_name(reference: str) -> None:
    with pytest.raises(BadConfiguration, match="INCOME_KEY"):
        azure_settings.local_values({"INCOME_KEY": reference}, no_secret)


def test_a_value_that_az_does_not_show_is_never_taken_for_an_empty_one() -> None:
    with pytest.raises(BadConfiguration, match="INCOME_KEY"):
        azure_settings.local_values({"INCOME_KEY": None}, no_secret)


def test_the_file_is_what_the_commands_read_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "azure.settings.json"
    file.write_text("of an earlier run", "utf-8")
    file.chmod(0o644)
    azure_settings.write(file, {"A": "b"})
    assert read_settings(file) == {"A": "b"}
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_machine_without_the_azure_cli_gets_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["azure-settings", "group", "app"])
    assert azure_settings.main() == 1
    assert "az login" in capsys.readouterr().err
