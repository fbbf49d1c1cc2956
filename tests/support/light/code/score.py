"""The scoring script of the light deployments: the probability of each class, as the sample's models give it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from linear import FILE, probabilities

_model: dict[str, Any] = {}


def init() -> None:
    [file] = Path(os.environ["AZUREML_MODEL_DIR"]).rglob(FILE)
    _model.update(json.loads(file.read_text("utf-8")))


def run(raw: str) -> list[list[float]]:
    given = json.loads(raw)["input_data"]
    return probabilities(_model, given["columns"], given["data"])
