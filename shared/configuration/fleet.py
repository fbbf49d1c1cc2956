"""An entry with `for_each`: where its `{key}` may stand, and how it is rolled out."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, assert_never

import msgspec

from shared.base.errors import BadConfiguration
from shared.configuration.file import Entry, Wrong
from shared.domain.azureml import AzureMLOnlineTarget
from shared.domain.fleets import Fleet
from shared.domain.pipelines import Pipeline, Target
from shared.domain.rollouts import Plan, share_of
from shared.domain.services import ClassicTarget, NewTarget

_KEY = re.compile(r"[a-z][a-z0-9_]*")


def read_fleet(entry: Entry, pipeline: Pipeline, body: object, wrong: Wrong) -> Pipeline | Fleet:
    """Return the pipeline, or the fleet of an entry with `for_each`."""
    key = entry.for_each
    if key is None:
        for name, given in (("only", entry.only), ("rollout", entry.rollout)):
            if given:
                raise wrong(f".{name}", "is for an entry with for_each")
        for index, target in enumerate(entry.targets):
            if isinstance(target, NewTarget) and target.scoring.services:
                raise wrong(f".targets[{index}].scoring.services", "is for a Classic target; write address and key")
        return pipeline
    if not _KEY.fullmatch(key):
        raise wrong(".for_each", f"{key!r} is not a key; write a word such as location, and {{location}} in blobs")
    place = f"{{{key}}}"
    _check_blobs(entry.blobs, place, wrong)
    parts = [(".training", entry.training), *((f".targets[{index}]", each) for index, each in enumerate(entry.targets))]
    allowed = [".blobs", *(f"{path}.{key}" for path, part in parts for key in part.OF_MEMBER)]
    for path, text in _texts(body):
        if place in text and not any(path == each or path.startswith(f"{each}.") for each in allowed):
            of_target = " and ".join(", ".join(entry.targets[0].OF_MEMBER).rsplit(", ", 1))
            of_training = " and ".join(f"training.{key}" for key in entry.training.OF_MEMBER)
            raise wrong(path, f"{place} cannot stand here, but in blobs, {of_training}, a target's {of_target}")
    for index, target in enumerate(entry.targets):
        _check_target(f".targets[{index}]", target, key, place, wrong)
    fleet = Fleet(
        template=msgspec.structs.replace(pipeline, fleet=pipeline.name, waits=entry.rollout is not None),
        key=key,
        only=frozenset(entry.only),
        plan=entry.rollout or Plan(),
    )
    _check_shares(fleet.plan, wrong)
    for index, value in enumerate(entry.only):
        if fault := fleet.fault(value):
            raise wrong(f".only[{index}]", fault)
    return fleet


def _check_target(path: str, target: Target, key: str, place: str, wrong: Wrong) -> None:
    match target:
        case NewTarget():
            raise wrong(
                f"{path}.kind", "a fleet's targets are endpoints of a Classic web service, or are azureml-online"
            )
        case AzureMLOnlineTarget():
            if target.endpoint.count(place) != 1:
                raise wrong(f"{path}.endpoint", f"must have {place} once, an endpoint for each {key}: bike-{place}")
            if place not in target.model:
                raise wrong(f"{path}.model", f"must have {place}, as each {key} has its own models: bike-{place}")
        case ClassicTarget():
            _check_classic(path, target, key, place, wrong)
        case _:
            assert_never(target)


def _check_classic(path: str, target: ClassicTarget, key: str, place: str, wrong: Wrong) -> None:
    base, _, name = target.address.rpartition("/")
    if place not in name or not base.endswith("/endpoints") or place in base:
        raise wrong(
            f"{path}.address",
            f"must end with an endpoint's name for each {key}: .../webservices/{{id}}/endpoints/rentalloc{place}",
        )
    if not target.scoring.services:
        raise wrong(
            f"{path}.scoring.services",
            "is missing; each endpoint gives the address where it scores, which must begin with this: "
            "https://ussouthcentral.services.azureml.net",
        )


def refuse_overlaps(file: Path, entries: Mapping[str, Pipeline | Fleet]) -> None:
    """Raise `BadConfiguration` for an entry whose name or endpoint a fleet's member could have."""
    for fleet in [each for each in entries.values() if isinstance(each, Fleet)]:
        for name, entry in entries.items():
            if name.startswith(f"{fleet.name}-"):
                raise BadConfiguration(
                    f"{file.name}: pipelines.{name}: could be a member of {fleet.name}, which is for each {fleet.key}; "
                    "rename one of the two"
                )
            targets = entry.targets if isinstance(entry, Pipeline) else []
            for target in targets:
                if any(_could_be(target.endpoint_at, each.endpoint_at, fleet.place) for each in fleet.template.targets):
                    raise BadConfiguration(
                        f"{file.name}: pipelines.{name}.targets ({target.name}): could be the endpoint of a member of "
                        f"{fleet.name}; two pipelines would overwrite each other"
                    )


def _could_be(address: str, endpoint: str, place: str) -> bool:
    begin, end = endpoint.casefold().split(place.casefold())
    address = address.casefold()
    return address.startswith(begin) and address.endswith(end) and "/" not in address[len(begin) :]


def _check_blobs(pattern: str, place: str, wrong: Wrong) -> None:
    folders = pattern.split("/")
    holding = [index for index, folder in enumerate(folders) if place in folder]
    if pattern.count(place) != 1 or re.search(r"[{}]", pattern.replace(place, "")):
        raise wrong(".blobs", f"must have {place} once, as in bike/{place}/*.csv")
    # Otherwise a path could have its value in more than one place.
    if re.search(r"[*?]", folders[holding[0]]) or "**" in "/".join(folders[: holding[0]]):
        raise wrong(".blobs", f"can have no * or ? beside {place}, and no ** before it: bike/{place}/*.csv")


def _texts(body: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(body, dict):
        for key, value in body.items():
            yield from _texts(value, f"{path}.{key}")
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from _texts(value, f"{path}[{index}]")
    elif isinstance(body, str):
        yield path, body


def _check_shares(plan: Plan, wrong: Wrong) -> None:
    shares = {f"waves[{index}]": wave for index, wave in enumerate(plan.waves)}
    for path, share in {**shares, "failures_at_most": plan.failures_at_most}.items():
        try:
            share_of(share, 1)
        except ValueError as error:
            raise wrong(f".rollout.{path}", str(error)) from None
