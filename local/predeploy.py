"""`run.py predeploy`: whether the app could read the pipelines.yaml that azd is about to deploy. Nothing is called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import msgspec

from local import deployed
from local.children import ROOT
from local.commands import parser_of
from shared.base.errors import BadConfiguration
from shared.base.json_file import read_json
from shared.base.settings import UNRESOLVED, Settings
from shared.configuration.loading import SETTING, load_pipelines
from shared.domain.services import FilePart
from shared.domain.values import ResourceId

SETTINGS = "infra/pipeline-settings.json"  #: the templates give the app each setting that this file has
TELEMETRY = "azure-monitor-opentelemetry"
#: the keys of pipelines.yaml whose value is a resource of the Azure Resource Manager
RESOURCES = {
    field.encode_name
    for part in FilePart.__subclasses__()
    for field in msgspec.structs.fields(part)
    if any(isinstance(kind, type) and issubclass(kind, ResourceId) for kind in (field.type, *get_args(field.type)))
}
# Only Azure reads a vault. These stand in place of its values; a key may look like an address too.
_RESOURCE = "/subscriptions/{}/resourceGroups/b/providers/Microsoft.MachineLearningServices/workspaces/c"
_ADDRESS = "https://the-vault-has-it.example/workspaces/a/services/"


def main() -> int:
    parser_of("predeploy").parse_args()
    try:
        check_telemetry(ROOT, os.environ)
        names = check(ROOT)
    except BadConfiguration as error:
        print(
            f"run.py: {error}\nNothing is deployed. The settings come from {SETTINGS}, "
            "the files are those that .funcignore leaves.",
            file=sys.stderr,
        )
        return 1
    print(f"pipelines.yaml can be deployed: {', '.join(names)}")
    return 0


def check(root: Path) -> list[str]:
    """Return the pipelines' names; raise `BadConfiguration` where the app could not read them."""
    with TemporaryDirectory() as folder:
        staged = Path(folder)
        deployed.copy(root, staged)
        try:
            settings = Settings(_values(root / SETTINGS, staged / "pipelines.yaml"))
            return sorted(load_pipelines(staged / "pipelines.yaml", settings))
        except BadConfiguration as error:
            raise BadConfiguration(str(error).replace(str(staged), str(root))) from None


def check_telemetry(root: Path, variables: Mapping[str, str]) -> None:
    """Raise `BadConfiguration` where the templates switch on a telemetry that the package has not."""
    if variables.get("OPEN_TELEMETRY") != "true":
        return
    if not re.search(f"^{TELEMETRY}==", (root / "requirements.txt").read_text("utf-8"), re.MULTILINE):
        raise BadConfiguration(
            f"OPEN_TELEMETRY is true, and requirements.txt has no {TELEMETRY}; "
            "cp requirements-telemetry.txt requirements.txt, or: azd env set OPEN_TELEMETRY false"
        )


def _values(file: Path, pipelines: Path) -> dict[str, str]:
    values = read_json(file)
    if not isinstance(values, dict):
        raise BadConfiguration(f"{SETTINGS} must have a text for each setting")
    for name, value in values.items():
        if not isinstance(value, str):
            raise BadConfiguration(f"{SETTINGS}: {name} must be a text")
    hidden = {name: _ADDRESS + name for name, value in values.items() if value.startswith(UNRESOLVED)}
    for key, text in _texts(pipelines):
        for found in SETTING.finditer(text):
            if found[1] in hidden and found.start():
                hidden[found[1]] = found[1]
            elif found[1] in hidden and key in RESOURCES:
                # The text behind the setting has the last steps of the id.
                steps = _RESOURCE.format(found[1]).split("/")
                hidden[found[1]] = "/".join(steps[: len(steps) - text[found.end() :].count("/")])
    return values | hidden


def _texts(pipelines: Path) -> Iterator[tuple[object, str]]:
    """Give each text of the file with its key. What cannot be read gives none: reading the pipelines says why."""
    import yaml

    from shared.base.yaml_file import load

    try:
        pending = [(None, load(pipelines.read_bytes()))]
    except (OSError, yaml.YAMLError):
        return
    while pending:
        key, value = pending.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            pending += value.items()
        elif isinstance(value, list):
            pending += [(key, each) for each in value]


if __name__ == "__main__":
    sys.exit(main())
