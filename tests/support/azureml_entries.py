"""An entry of `pipelines.yaml` with Azure Machine Learning v2, as the sample has it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines
from shared.domain.fleets import Pipelines
from shared.domain.pipelines import Pipeline

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = ROOT / "samples" / "azureml" / "pipelines.yaml"

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"

SETTINGS = Settings({"AML_WORKSPACE": WORKSPACE, "AML_ADDRESS": "https://management.azure.com"})

NAME = "breast-cancer"


@cache
def sample() -> Any:
    return yaml.safe_load(SAMPLE.read_text("utf-8"))["pipelines"][NAME]


def load(folder: Path, **entries: object) -> Pipelines:
    file = folder / "pipelines.yaml"
    file.write_text(
        yaml.safe_dump({"pipelines": {name.replace("_", "-"): each for name, each in entries.items()}}, sort_keys=False)
    )
    return load_pipelines(file, SETTINGS)


def one(folder: Path, entry: dict[str, Any]) -> Pipeline:
    return load(folder, breast_cancer=entry)[NAME]


def put(entry: Any, path: str, value: object) -> None:
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        entry = entry[step]
    if value is None:
        del entry[last]
    else:
        entry[last] = value


def refused(folder: Path, entry: dict[str, Any]) -> str:
    with pytest.raises(BadConfiguration) as raised:
        one(folder, entry)
    return str(raised.value).removeprefix(f"pipelines.yaml: pipelines.{NAME}")
