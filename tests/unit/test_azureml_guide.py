"""docs/azureml.md: every key of the configuration is in it, with its default."""

from __future__ import annotations

import re

import msgspec
import pytest

from local.children import ROOT
from shared.domain.azureml import (
    AzureMLOnlineTarget,
    AzureMLTraining,
    ChampionScored,
    DeploymentChanges,
    ModelOutput,
    OnlineScoring,
    ScoredOutput,
    ShareSettings,
)
from shared.domain.values import Duration, written

GUIDE = (ROOT / "docs" / "azureml.md").read_text("utf-8")
TABLES = {
    "`training:`": (AzureMLTraining, ModelOutput, ScoredOutput, ChampionScored),
    "a target": (AzureMLOnlineTarget, DeploymentChanges, OnlineScoring),
    "`share:`": (ShareSettings,),
}


def rows(table: str) -> list[list[str]]:
    lines = GUIDE.partition(f"| {table} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("table", TABLES)
def test_the_guide_has_every_key_and_no_other(table: str) -> None:
    main, *parts = TABLES[table]
    known = {field.encode_name for field in msgspec.structs.fields(main)} | {"kind"}
    described = {name for row in rows(table) for name in re.findall(r"`(\w+)`", row[0])}
    assert described == (known if table != "`share:`" else known - {"kind"})
    text = " ".join(cell for row in rows(table) for cell in row)
    for part in parts:
        missing = {field.encode_name for field in msgspec.structs.fields(part)} - set(re.findall(r"`(\w+)`", text))
        assert missing == set()


@pytest.mark.parametrize("table", TABLES)
def test_the_guide_has_the_default_of_each_time_and_number(table: str) -> None:
    defaults = {}
    for field in msgspec.structs.fields(TABLES[table][0]):
        made = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        if isinstance(made, Duration):
            defaults[field.encode_name] = written(made)
        elif isinstance(made, int | float) and not isinstance(made, bool):
            defaults[field.encode_name] = f"{made:g}"
    said: dict[str, str] = {}
    for row in rows(table):
        said |= dict(zip(re.findall(r"`(\w+)`", row[0]), re.findall(r"`([^`]+)`", row[1]), strict=False))
    assert {name: said.get(name) for name in defaults} == defaults
