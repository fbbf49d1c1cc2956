"""What is deployed: the files that .funcignore leaves, and the settings that the templates give the app."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pathspec

TEMPLATES = "infra"
_SERVICE = "https://studio.example/workspaces/a/services/b"
_WEB_SERVICE = "/subscriptions/a/resourceGroups/b/providers/Microsoft.MachineLearning/webServices/c"
#: what stands for a resource's address or a parameter until Azure has made it
_PLACEHOLDERS = {
    "host.blob": "https://sthost.blob.core.windows.net/",
    "host.queue": "https://sthost.queue.core.windows.net/",
    "host.table": "https://sthost.table.core.windows.net/",
    "data.blob": "https://stdata.blob.core.windows.net/",
    "data.queue": "https://stdata.queue.core.windows.net/",
    "insightsConnection": "InstrumentationKey=00000000-0000-0000-0000-000000000000",
    "identityClientId": "00000000-0000-0000-0000-000000000000",
    "dataContainer": "training-data",
}


def files(root: Path) -> list[str]:
    """Return the names of the files that are deployed. Raises `CalledProcessError` outside a checkout of git."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True)
    left_out = _left_out(root)
    return [name for name in listed.stdout.splitlines() if not left_out(name)]


def copy(root: Path, folder: Path) -> None:
    """Copy what azd would deploy: every file that .funcignore leaves, git's or not."""
    left_out = _left_out(root)

    def ignored(place: str, names: list[str]) -> list[str]:
        paths = ((name, Path(place) / name) for name in names)
        return [name for name, path in paths if left_out(path.relative_to(root).as_posix() + "/" * path.is_dir())]

    shutil.copytree(root, folder, ignore=ignored, dirs_exist_ok=True)


def _left_out(root: Path) -> Callable[[str], bool]:
    lines = (root / ".funcignore").read_text("utf-8").splitlines()
    return pathspec.GitIgnoreSpec.from_lines(lines).match_file


def stage(root: Path, folder: Path) -> None:
    """Copy what is deployed into the folder, with the sample as its pipelines file."""
    for name in files(root):
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, copy)
    shutil.copy(root / "pipelines.sample.yaml", folder / "pipelines.yaml")


def read_templates(root: Path) -> dict[str, Mapping[str, Any]]:
    """Return each template as the parser reads it, by its name below `infra/`."""
    folder = root / TEMPLATES
    return {path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*.bicep"))}


def _read(template: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _parser().parse(text=template.read_text("utf-8"))
    return found


@cache
def _parser() -> Any:
    from pycep import BicepParser  # only the tests and the checks have it

    return BicepParser()


def settings(root: Path, variable: str = "settings") -> dict[str, str]:
    """Return the app's settings as a variable of its template has them, with placeholders for what Azure makes."""
    values: Any = _read(root / TEMPLATES / "modules" / "app.bicep")["variables"][variable]["value"]
    return {name: _value(value) for name, value in values.items()}


def sample_settings(root: Path) -> dict[str, str]:
    """Return made-up values of right form for what the sample of the pipelines file names."""
    names = set(re.findall(r"\$\{(\w+)\}", (root / "pipelines.sample.yaml").read_text("utf-8"))) - {"NAME"}
    values = {name: "key" if name.endswith(("_KEY", "TOKEN")) else _SERVICE for name in names}
    return {**values, "BREAST_CANCER_NEW_ID": _WEB_SERVICE}


def _value(value: Any) -> str:
    if isinstance(value, dict):  # the member of a variable: `host.blob`
        operands = value["operator"]["operands"]
        value = f"{operands['operand_1']}.{operands['operand_2']}"
    if value in _PLACEHOLDERS:
        return _PLACEHOLDERS[value]
    return re.sub(r"\$\{(\w+)\}", lambda found: _PLACEHOLDERS[found[1]], value)
