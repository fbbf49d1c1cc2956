"""`run.py predeploy`: whether the app could read the pipelines.yaml that azd is about to deploy. Nothing is called."""

from __future__ import annotations

import sys
from pathlib import Path

from local.children import ROOT
from local.commands import parser_of
from shared.base.errors import BadConfiguration
from shared.base.json_file import read_json
from shared.base.settings import UNRESOLVED, Settings
from shared.configuration.loading import load_pipelines

SETTINGS = "infra/pipeline-settings.json"  #: the templates give the app each setting that this file has
_HIDDEN = (
    "https://the-vault-has-it.example/workspaces/a/services/"  #: fits an address and a key; only Azure reads a vault
)


def main() -> int:
    parser_of("predeploy").parse_args()
    try:
        names = check(ROOT)
    except BadConfiguration as error:
        print(f"run.py: {error}\nNothing is deployed. The settings are those of {SETTINGS}.", file=sys.stderr)
        return 1
    print(f"pipelines.yaml can be deployed: {', '.join(names)}")
    return 0


def check(root: Path) -> list[str]:
    """Return the pipelines' names; raise `BadConfiguration` where the app could not read them."""
    values = read_json(root / SETTINGS)
    if not isinstance(values, dict):
        raise BadConfiguration(f"{SETTINGS} must have a text for each setting")
    for name, value in values.items():
        if not isinstance(value, str):
            raise BadConfiguration(f"{SETTINGS}: {name} must be a text")
        if value.startswith(UNRESOLVED):
            values[name] = _HIDDEN + name
    return sorted(load_pipelines(root / "pipelines.yaml", Settings(values)))


if __name__ == "__main__":
    sys.exit(main())
