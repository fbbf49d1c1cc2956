"""The workspace in this process, asked by MLflow's protocol."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.support.aml import ADDRESS, Here
from tests.support.asgi import Answer


def mlflow(here: Here, method: str, path: str, /, body: object = None, release: str = "v1.0", **query: str) -> Answer:
    place = f"{ADDRESS}/mlflow/{release}{here.workspace.id}/api/2.0/{path}"
    return here.call(method, f"{place}?{urlencode(query)}", body)


def asked(here: Here, method: str, path: str, /, body: object = None, **query: str) -> Any:
    """Return the answer, which must be one of success."""
    answer = mlflow(here, method, f"mlflow/{path}", body, **query)
    assert answer.status == 200, answer.body
    return answer.json


def experiment(here: Here, name: str = "by hand") -> str:
    return str(asked(here, "POST", "experiments/create", {"name": name})["experiment_id"])


def run(here: Here, experiment: str, **members: object) -> str:
    """Return the id of a new run."""
    made = asked(here, "POST", "runs/create", {"experiment_id": experiment, **members})
    return str(made["run"]["info"]["run_id"])
