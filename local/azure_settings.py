"""`run.py azure-settings`: write the deployed app's settings to a file, for commands that run with your own identity.

The members that name the app's identity are left out. A key of a vault is read from it with your own rights: the app's
commands take no reference. The Azure CLI makes every call.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.commands import parser_of
from shared.base.errors import BadConfiguration
from shared.base.settings import UNRESOLVED

_OF_THE_APP = re.compile("__(credential|clientId)$")
_ADDRESS = re.compile(r"@Microsoft\.KeyVault\(SecretUri=(https://[^)]+?)/?\)")
_NAMES = re.compile(r"@Microsoft\.KeyVault\(VaultName=([^;)]+);SecretName=([^;)]+)(?:;SecretVersion=([^;)]+))?;?\)")


def main() -> int:
    chosen = parser_of("azure-settings").parse_args()
    place = ("--resource-group", chosen.group, "--name", chosen.app)
    try:
        listed = json.loads(_az("functionapp", "config", "appsettings", "list", *place))
        values = local_values({each["name"]: each["value"] for each in listed}, lambda arguments: _az(*arguments))
    except BadConfiguration as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    write(Path(chosen.file), values)
    print(f"{chosen.file} has {len(values)} settings, with keys: it is for you alone. Delete it when you are done.")
    return 0


def local_values(listed: Mapping[str, str | None], read: Callable[[Sequence[str]], str]) -> dict[str, str]:
    """Return the settings as the commands take them; `read` carries out a call of `az` that answers with a secret."""
    values = {"FUNCTIONS_WORKER_RUNTIME": "python"}
    for name, value in listed.items():
        if value is None:
            raise BadConfiguration(
                f"az does not show the value of setting {name}; your role must allow it (Contributor)"
            )
        if not _OF_THE_APP.search(name):
            values[name] = json.loads(read(secret(name, value)))["value"] if value.startswith(UNRESOLVED) else value
    return values


def secret(name: str, reference: str) -> list[str]:
    """Return the arguments of `az` that show the secret of this reference."""
    show = ["keyvault", "secret", "show"]
    if found := _ADDRESS.fullmatch(reference):
        return [*show, "--id", found[1]]
    if found := _NAMES.fullmatch(reference):
        version = ["--version", found[3]] if found[3] else []
        return [*show, "--vault-name", found[1], "--name", found[2], *version]
    raise BadConfiguration(
        f"Setting {name} is not a Key Vault reference of a known form; write "
        "@Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME)"
    )


def write(file: Path, values: Mapping[str, str]) -> None:
    """Write the file so that only its owner can read it, at no time anybody else."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:
        json.dump({"IsEncrypted": False, "Values": dict(values)}, opened, indent=2)


def _az(*arguments: str) -> str:
    program = shutil.which("az")  # on Windows it is az.cmd
    if program is None:
        raise BadConfiguration("The Azure CLI (az) is not on the PATH; install it, then: az login")
    done = subprocess.run([program, *arguments, "--output", "json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadConfiguration(f"az {' '.join(arguments[:3])} failed: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
