"""Many pipelines from one entry of the file: `for_each: location` makes one for each value that its data's paths have.

A value becomes part of names and addresses, so it has lower-case letters, digits and dashes only.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from shared.domain.blob_pattern import captured, fault_of
from shared.domain.pipelines import Pipeline
from shared.domain.rollouts import Plan
from shared.domain.services import NewTarget

T = TypeVar("T", bound=msgspec.Struct)

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")  #: a pipeline's, which is part of its records' names
_VALUE = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """The pipelines of one entry. `template` is that entry with `{key}` still in it."""

    template: Pipeline
    key: str
    only: frozenset[str] = frozenset()  #: the values there are; any, unless given
    plan: Plan = Plan()

    @property
    def name(self) -> str:
        return self.template.name

    @property
    def place(self) -> str:
        return f"{{{self.key}}}"

    def value_in(self, path: str) -> str | None:
        """Return what stands for the key in a path that fits the entry's pattern, whether it is allowed or not."""
        value = captured(self.template.blobs, path)
        arriving = self.template.arriving
        folder, _, name = path.rpartition("/")
        if value is None and arriving.batch == "marker" and name == arriving.marker:
            pattern = self.template.blobs.rpartition("/")[0]
            value = captured(f"{pattern}/", f"{folder}/") if self.place in pattern else None
        return value

    def value_of(self, name: str) -> str | None:
        """Return the value that makes a pipeline of this name, or None when no value does."""
        value = name.removeprefix(f"{self.name}-")
        return None if value == name or self.fault(value) else value

    def fault(self, value: str) -> str | None:
        """Return why the value makes no pipeline, or None if it does."""
        if not _VALUE.fullmatch(value):
            return f"{self.place} is {value[:80]!r}, and can have lower-case letters, digits and dashes within"
        if not NAME.fullmatch(f"{self.name}-{value}"):
            return f"{self.place} is {value[:80]!r}, which makes the pipeline's name longer than 63 signs"
        for target in self.template.targets:
            assert not isinstance(target, NewTarget), "the configuration allows none in a fleet"
            endpoint = target.endpoint.replace(self.place, value)
            if not target.ENDPOINT.pattern.fullmatch(endpoint):
                return f"{self.place} is {value!r}: an endpoint {endpoint!r} needs {target.ENDPOINT.words}"
        if self.only and value not in self.only:
            return f"{self.place} is {value!r}, which is not among 'only' of {self.name}"
        return None

    def member(self, value: str) -> Pipeline:
        """Return the pipeline of a value that has no fault."""
        template, place = self.template, self.place
        return msgspec.structs.replace(
            template,
            name=f"{self.name}-{value}",
            blobs=template.blobs.replace(place, value),
            schedule=None,  # the fleet as a whole has one
            training=_filled(template.training, template.training.OF_MEMBER, place, value),
            targets=[_filled(target, target.OF_MEMBER, place, value) for target in template.targets],
        )


def _filled(part: T, keys: Iterable[str], place: str, value: str) -> T:
    """Return the part with the value where these keys have the place for it."""

    def filled(given: Any) -> Any:
        if isinstance(given, dict):
            return {name: filled(text) for name, text in given.items()}
        return given and type(given)(given.replace(place, value))

    return msgspec.structs.replace(part, **{key: filled(getattr(part, key)) for key in keys})


class Pipelines(Mapping[str, Pipeline]):
    """Those of the file, and the members of its fleets, each made when its name or a path of its data comes up.

    `known` returns the names, beginning so, that data was seen of. A member that no data was seen of is not there:
    a mistyped name in a message must not make an endpoint.
    """

    def __init__(
        self,
        alone: Mapping[str, Pipeline],
        fleets: Mapping[str, Fleet] | None = None,
        known: Callable[[str], Iterable[str]] = lambda _: (),
    ) -> None:
        self.alone, self.fleets, self._known = alone, fleets or {}, known
        self._members: dict[str, Pipeline] = {}

    def __getitem__(self, name: str) -> Pipeline:
        if pipeline := self.alone.get(name) or self._members.get(name):
            return pipeline
        for fleet in self.fleets.values():
            if fleet.value_of(name) is not None and name in self.members(fleet.name):
                return self._members[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from self.alone
        for fleet in self.fleets:
            yield from self.members(fleet)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Pipelines({', '.join([*self.alone, *(f'{name}-*' for name in self.fleets)])})"

    def members(self, name: str) -> list[str]:
        """Return the known members of a fleet by name; of a pipeline that is alone, itself."""
        if name not in self.fleets:
            return [name]
        return sorted(pipeline.name for pipeline in self.of_fleet(name, self._known(f"{name}-")))

    def of_fleet(self, name: str, members: Iterable[str]) -> Iterator[Pipeline]:
        """Yield the members of these names which the file (still) allows."""
        fleet = self.fleets[name]
        for member in members:
            value = fleet.value_of(member)
            if value is not None:
                yield self._member(fleet, value)

    def taking(self, path: str) -> list[Pipeline]:
        """Return the pipelines that the blob belongs to."""
        found = [pipeline for pipeline in self.alone.values() if pipeline.takes(path)]
        for fleet in self.fleets.values():
            value = fleet.value_in(path)
            if value is not None and fleet.fault(value) is None:
                found.append(self._member(fleet, value))
        return found

    def why_none(self, path: str) -> str:
        """Return why the blob belongs to no pipeline."""
        if fault := fault_of(path):
            return f"it cannot be the path of a blob: {fault}"
        values = [(fleet, value) for fleet in self.fleets.values() if (value := fleet.value_in(path)) is not None]
        faults = [f"in {fleet.template.blobs} {fault}" for fleet, value in values if (fault := fleet.fault(value))]
        templates = (fleet.template for fleet in self.fleets.values())
        patterns = ", ".join(pipeline.blobs for pipeline in (*self.alone.values(), *templates))
        return "; ".join(faults) or f"their patterns are: {patterns}"

    @property
    def entries(self) -> str:
        """The names that a message may have, for people."""
        return ", ".join(sorted([*self.alone, *self.fleets, *(f"{name}-{{...}}" for name in self.fleets)]))

    def _member(self, fleet: Fleet, value: str) -> Pipeline:
        name = f"{fleet.name}-{value}"
        if name not in self._members:
            self._members[name] = fleet.member(value)
        return self._members[name]
