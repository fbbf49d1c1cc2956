"""A New web service in the resource manager: its definition, its model, its scores."""

from __future__ import annotations

from typing import Any

import requests

from local.workplace import Workplace
from tests.support.arm import Manager
from tests.support.waiting import PATIENCE

PREVIEW = "2016-05-01-preview"


def score(place: Workplace, manager: Manager, service: str, inputs: dict[str, Any] | None = None) -> Any:
    keys = manager.call("GET", f"{service}/listKeys").json()
    swagger = manager.call("GET", service).json()["properties"]["swaggerLocation"]
    table = {"ColumnNames": place.header, "Values": place.rows[:3]}
    answer = requests.post(
        swagger.replace("/swagger.json", "/execute"),
        params={"api-version": "2.0"},
        json={"Inputs": inputs or {"input1": table}},
        headers={"Authorization": f"Bearer {keys['primary']}"},
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["Results"]
