"""A web service's description, `GET {base}/swagger.json`: the names of its ports and global parameters.

The service's own generators wrote the names in two ways: as `properties` of `Inputs`, and in an `example`. Both are
read, wherever in `definitions` they stand.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import requests

from shared.adapters.http import Service
from shared.domain.services import Description, ScoringService, TrainingService


def describe(session: requests.Session, name: str, place: TrainingService | ScoringService) -> Description:
    """Return the description; raise as every call of a service does."""
    address, key = (place.address, place.key) if isinstance(place, TrainingService) else place.place
    service = Service(session, name, address, lambda: f"Bearer {key.reveal()}")
    return service.call("GET", "swagger.json").read(read_description, "swagger document")


def read_description(document: Any) -> Description:
    definitions: dict[str, Any] = document["definitions"]
    inputs = frozenset(_named(definitions, "Inputs"))
    return Description(
        inputs=inputs,
        outputs=frozenset([*_named(definitions, "Outputs"), *_named(definitions, "Results")]),
        parameters=frozenset(_named(definitions, "GlobalParameters")),
        columns={name: frozenset(_properties(definitions, definitions.get(f"{name}Item"))) for name in inputs},
    )


def _named(definitions: Mapping[str, Any], member: str) -> Iterator[str]:
    for definition in definitions.values():
        yield from _properties(definitions, (definition.get("properties") or {}).get(member))
        example = definition.get("example")
        if isinstance(example, dict) and isinstance(example.get(member), dict):
            yield from example[member]


def _properties(definitions: Mapping[str, Any], schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    name = str(schema.get("$ref", "")).removeprefix("#/definitions/")
    yield from definitions.get(name, schema).get("properties") or {}
