"""Forms of a deployment, an endpoint, shares and a version that the service should not answer with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.adapters.azureml.workspace import Workspace
from shared.base.errors import UnexpectedAnswer
from shared.domain.jobs import Model
from shared.domain.rows import Rows
from tests.support.online import INCOME, A, Place, with_staged


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return with_staged(tmp_path / "aml")


ODD: list[Any] = [
    None,
    [],
    "text",
    {},
    {"name": "a"},
    {"name": "a", "properties": None},
    {"name": "a", "properties": []},
    {"name": "a", "tags": [1], "properties": {"model": "x"}},
]


@pytest.mark.parametrize("odd", ODD)
def test_a_deployment_in_an_odd_form_is_an_unexpected_answer(
    place: Place, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.known.keys.clear()
    monkeypatch.setattr(Workspace, "listed", lambda *_: iter([odd]))
    monkeypatch.setattr(Workspace, "below", lambda *_: "models/a/versions/1")
    for ask in (place.endpoint.shares, lambda: place.endpoint.stage(A), lambda: place.endpoint.drop(A)):
        with pytest.raises(UnexpectedAnswer, match="is answered in a form that is not known"):
            ask()


@pytest.mark.parametrize("odd", ODD)
def test_an_endpoint_in_an_odd_form_is_an_unexpected_answer(
    place: Place, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "get", lambda *_: odd)
    place.known.access.address = ""
    rows = Rows(["a"], [["1"]])
    for ask in (
        place.endpoint.shares,
        lambda: place.endpoint.share({A.sha256: 100}),
        lambda: place.endpoint.score(rows),
    ):
        with pytest.raises(UnexpectedAnswer, match="is answered in a form that is not known"):
            ask()


def test_traffic_in_an_odd_form_is_an_unexpected_answer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {"properties": {"authMode": "Key", "scoringUri": "https://a", "traffic": {"blue": "much"}}}
    monkeypatch.setattr(Workspace, "get", lambda *_: odd)
    with pytest.raises(UnexpectedAnswer, match="is answered in a form that is not known"):
        place.endpoint.shares()


@pytest.mark.parametrize("odd", ["text", {"name": "a"}, {"properties": None}, {"properties": {"tags": [1]}}])
def test_a_version_in_an_odd_form_is_an_unexpected_answer(
    place: Place, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments = list(place.get(f"{INCOME}/deployments")["value"])
    monkeypatch.setattr(Workspace, "listed", lambda *_: iter(deployments))
    monkeypatch.setattr(Workspace, "find", lambda *_: odd)
    place.known.adopted.clear(), place.known.keys.clear()
    model = Model(sha256="c" * 64, size=1, folder=True)
    for ask in (place.endpoint.shares, lambda: place.endpoint.stage(model)):
        with pytest.raises(UnexpectedAnswer, match="is answered in a form that is not known"):
            ask()
