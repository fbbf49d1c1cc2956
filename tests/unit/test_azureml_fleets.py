"""A fleet in `pipelines.yaml` with Azure Machine Learning v2."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.base.errors import BadConfiguration
from shared.configuration.azureml import notes
from shared.domain.azureml import AzureMLOnlineTarget, AzureMLTraining
from tests.support.azureml_entries import (
    load,
    put,
    refused,
    sample,
)


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rows.csv").write_text("mean radius,mean texture\n1,2\n")
    return deepcopy(sample()) | {"proof": {"rows": "rows.csv"}}


@pytest.fixture
def fleet(entry: dict[str, Any]) -> dict[str, Any]:
    entry |= {"for_each": "clinic", "blobs": "clinics/{clinic}/*.csv"}
    entry["training"] |= {"experiment": "cancer-{clinic}", "parameters": {"clinic": "{clinic}"}}
    entry["targets"][0] |= {"name": "of {clinic}", "endpoint": "cancer-{clinic}", "model": "cancer-{clinic}"}
    return entry


def test_each_member_of_a_fleet_has_its_own_endpoint_and_models(fleet: dict[str, Any], tmp_path: Path) -> None:
    [pipeline] = load(tmp_path, cancer=fleet).taking("clinics/north/a.csv")
    training, [target] = pipeline.training, pipeline.targets
    assert isinstance(training, AzureMLTraining)
    assert isinstance(target, AzureMLOnlineTarget)
    assert (training.experiment, training.parameters) == ("cancer-north", {"clinic": "north"})
    assert (target.name, target.endpoint, target.model) == ("of north", "cancer-north", "cancer-north")
    assert pipeline.blobs == "clinics/north/*.csv"
    long = "clinics/a-clinic-with-a-very-long-name/a.csv"
    assert load(tmp_path, cancer=fleet).taking(long) == []
    assert "needs 3 to 32 letters, digits and single dashes" in load(tmp_path, cancer=fleet).why_none(long)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("targets.0.endpoint", "cancer", ".targets[0].endpoint: must have {clinic} once"),
        ("targets.0.endpoint", "{clinic}-{clinic}", ".targets[0].endpoint: must have {clinic} once"),
        ("targets.0.model", "cancer", ".targets[0].model: must have {clinic}, as each clinic has its own models"),
        (
            "training.compute",
            "c-{clinic}",
            ".training.compute: {clinic} cannot stand here, but in blobs, training.para",
        ),
        (
            "targets.0.datastore",
            "d{clinic}",
            ".targets[0].datastore: {clinic} cannot stand here, but in blobs, trainin",
        ),
        (
            "only",
            [f"c{number}" for number in range(101)],
            ".only: has 101 values, each with 1 endpoint of its own; a re",
        ),
    ],
)
def test_what_a_fleet_may_and_must_vary(
    fleet: dict[str, Any], tmp_path: Path, path: str, value: object, said: str
) -> None:
    put(fleet, path, value)
    assert refused(tmp_path, fleet).startswith(said)


def test_a_pipeline_does_not_take_the_endpoint_of_a_member(fleet: dict[str, Any], tmp_path: Path) -> None:
    alone = yaml.safe_load(yaml.safe_dump(fleet).replace("{clinic}", "north"))
    del alone["for_each"]
    with pytest.raises(BadConfiguration, match="could be the endpoint of a member of cancer"):
        load(tmp_path, cancer=fleet, alone={**alone, "blobs": "alone/*.csv"})


def test_the_cost_of_two_deployments_and_the_limits_of_a_region_are_said(fleet: dict[str, Any], tmp_path: Path) -> None:
    found = load(tmp_path, cancer=fleet).fleets["cancer"]
    cost, limits = notes(found.template, found)
    assert "a second deployment, which costs beside the live one" in cost and "4h after the switch" in cost
    assert "each clinic needs an endpoint with a first deployment" in limits
    assert "100 endpoints" in limits
    assert len(list(notes(found.member("north"), None))) == 1
