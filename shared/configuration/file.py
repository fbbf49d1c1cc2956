"""`pipelines.yaml` as it is written: every key, with what it means. No value is checked against another here."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.base.errors import BadConfiguration
from shared.domain.arrivals import ArrivalSettings
from shared.domain.azureml import ShareSettings
from shared.domain.checks import Checks
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import Rule, parse_rule
from shared.domain.pipelines import Target, Training
from shared.domain.rollouts import Plan
from shared.domain.services import ApprovalSettings, BakeSettings, FilePart, TrainingService, default_duration
from shared.domain.values import READERS, SCHEMAS, Duration, Schedule

Wrong = Callable[[str, str], BadConfiguration]  #: makes the error of a key's path and what is wrong there


class Proof(FilePart, frozen=True, kw_only=True):
    """The rows that show which model answers."""

    rows: Annotated[str, Meta(description="CSV file beside this one: a header and up to 100 rows")]
    timeout: Annotated[Duration, Meta(description="Longest wait for new answers after an update; 3m")] = (
        default_duration("3m")
    )


class Entry(FilePart, frozen=True, kw_only=True):
    """One pipeline as it is written; with `for_each`, many."""

    blobs: Annotated[str, Meta(description="Path pattern within the training container: income/*.csv")]
    for_each: Annotated[
        str | None, Meta(description="Key, such as location, that stands as {location} in blobs: a pipeline for each")
    ] = None
    only: Annotated[list[str], Meta(description="The values that the key may have; any unless given")] = msgspec.field(
        default_factory=list
    )
    rollout: Plan | None = None
    share: ShareSettings | None = None
    checks: Checks = Checks()
    arrival: ArrivalSettings = msgspec.field(default_factory=ArrivalSettings)
    schedule: Annotated[
        Schedule | None, Meta(description="Retrain on the data that is live at these times: 0 0 3 * * 1")
    ] = None
    training: Training
    gate: Gate
    approval: ApprovalSettings = msgspec.field(default_factory=ApprovalSettings)
    bake: BakeSettings | None = None
    targets: Annotated[list[Target], Meta(min_length=1)]
    proof: Proof


class PipelinesFile(FilePart, frozen=True, kw_only=True):
    """The whole file, as the JSON Schema describes it."""

    pipelines: dict[str, Entry]


DEFAULT_TRAINING = TrainingService  #: the kind of a training that names none
#: how each kind of text is read
_READERS: dict[type, Callable[[str], object]] = {**READERS, Rule: parse_rule}


def dec_hook(kind: type, value: object) -> object:
    """Return the value of a kind that msgspec does not know. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    return _READERS[kind](value)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors."""
    described = msgspec.json.schema(PipelinesFile, schema_hook={**SCHEMAS, Rule: {"type": "string"}}.__getitem__)
    described["$defs"][DEFAULT_TRAINING.__name__]["required"].remove("kind")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Relearn pipelines", **described}
