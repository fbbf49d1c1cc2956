"""The app's settings: the environment, read in one place."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from shared.base.errors import BadConfiguration
from shared.base.json_file import read_json
from shared.base.secret import Secret

UNRESOLVED = "@Microsoft.KeyVault("


def read_settings(file: Path) -> dict[str, str]:
    """Return the Values of a local.settings.json, as the Functions host has them in the environment."""
    body = read_json(file)
    values = body.get("Values") if isinstance(body, dict) else None
    if not isinstance(values, dict):
        raise BadConfiguration(
            f'{file} is not a local.settings.json: "Values" with a text for each setting was expected'
        )
    if body.get("IsEncrypted"):
        raise BadConfiguration(f"{file} is encrypted; decrypt it first: func settings decrypt")
    for name, value in values.items():
        if not isinstance(value, str | bool | int | float):
            raise BadConfiguration(f"{file}: Values.{name} must be a text")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


class Settings:
    """Settings by name. An unresolved Key Vault reference counts as an error, never as a value."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the setting, or the default where it is missing or empty."""
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if value.startswith(UNRESOLVED):
            raise BadConfiguration(
                f"Setting {name} is a Key Vault reference that was not resolved; check the vault's name, the secret's "
                "name and that the app's identity may read secrets there"
            )
        return value

    def require(self, name: str) -> str:
        """Return the setting; raise `BadConfiguration` where it is missing or empty."""
        value = self.get(name)
        if value is None:
            raise BadConfiguration(f"Missing setting: {name}")
        return value

    @property
    def pipelines_file(self) -> Path:
        """The file that PIPELINES_FILE names, from the app's folder on, wherever the process was started."""
        return Path(__file__).resolve().parents[2] / (self.get("PIPELINES_FILE") or "pipelines.yaml")

    @property
    def authorities(self) -> str | None:
        """The file or folder of the certificate authorities to trust in place of the usual ones."""
        place = self.get("REQUESTS_CA_BUNDLE")
        if place and not Path(place).exists():
            raise BadConfiguration(f"Setting REQUESTS_CA_BUNDLE names {place}, which is not there")
        return place

    def secret(self, name: str) -> Secret | None:
        value = self.get(name)
        return None if value is None else Secret(value)
