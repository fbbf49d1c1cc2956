"""`pipelines.yaml` as it is written: every key, with what it means. No value is checked against another here."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.domain.arrivals import ArrivalSettings
from shared.domain.checks import Checks
from shared.domain.gate.decision import Undecided
from shared.domain.services import ApprovalSettings, BakeSettings, FilePart, Target, TrainingService, default_duration
from shared.domain.values import Duration, Schedule, schema_hook


class Gate(FilePart, frozen=True, kw_only=True):
    """When a model is good enough."""

    rules: Annotated[
        list[str],
        Meta(
            min_length=1,
            description="All must hold: 'AUC >= champion - 0.005', 'AUC >= 0.9 or Recall >= 0.8', "
            "'for each sex: AUC >= champion - 0.02'",
        ),
    ]
    baseline: Annotated[
        dict[str, float],
        Meta(description="The champion's metrics until this app has promoted one, without training.scored"),
    ] = msgspec.field(default_factory=dict)
    confidence: Annotated[
        float, Meta(gt=0.5, lt=1, description="How sure a comparison on the same rows must be, by a paired bootstrap")
    ] = 0.95
    undecided: Annotated[
        Undecided, Meta(description="When the difference is within the noise: keep the champion, promote, or ask")
    ] = "keep"
    label: Annotated[str | None, Meta(description="Column with the truth, unless checks.label says it")] = None
    rows_at_most: Annotated[
        int, Meta(ge=100, le=100_000, description="Held-out rows to compare on, by chance where there are more")
    ] = 10_000


class Proof(FilePart, frozen=True, kw_only=True):
    """The rows that show which model answers."""

    rows: Annotated[str, Meta(description="CSV file beside this one: a header and up to 100 rows")]
    timeout: Annotated[Duration, Meta(description="Longest wait for new answers after an update; 3m")] = (
        default_duration("3m")
    )


class Rollout(FilePart, frozen=True, kw_only=True):
    """How the models of an entry with for_each go live: together, when a message asks for it, in waves."""

    waves: Annotated[
        list[int | str], Meta(min_length=1, description="Up to how many members each wave goes; [1, 10%, 100%]")
    ] = msgspec.field(default_factory=lambda: [1, "10%", "100%"])
    failures_at_most: Annotated[int | str, Meta(description="Members that may fail before it stops: 0, or 2%")] = 0
    at_once: Annotated[int, Meta(ge=1, le=1000, description="Members under way at once; 50")] = 50
    within: Annotated[Duration, Meta(description="How long a member may take before it counts as failed; 1h")] = (
        default_duration("1h")
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
    rollout: Rollout | None = None
    checks: Checks = Checks()
    arrival: ArrivalSettings = msgspec.field(default_factory=ArrivalSettings)
    schedule: Annotated[
        Schedule | None, Meta(description="Retrain on the data that is live at these times: 0 0 3 * * 1")
    ] = None
    training: TrainingService
    gate: Gate
    approval: ApprovalSettings = msgspec.field(default_factory=ApprovalSettings)
    bake: BakeSettings | None = None
    targets: Annotated[list[Target], Meta(min_length=1)]
    proof: Proof


class PipelinesFile(FilePart, frozen=True, kw_only=True):
    """The whole file, as the JSON Schema describes it."""

    pipelines: dict[str, Entry]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relearn pipelines",
        **msgspec.json.schema(PipelinesFile, schema_hook=schema_hook),
    }
