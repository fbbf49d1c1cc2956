"""The names that commands take: of jobs, of pipelines, and of fleets, which are entries with many pipelines."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from shared.base.errors import BadConfiguration
from shared.base.suggestion import differs_in_case
from shared.cli.output import tell
from shared.cli.place import NOTHING, USAGE, Stopped

if TYPE_CHECKING:
    from shared.app import App

Id = TypeVar("Id")

#: what has ids, and the command that lists it
LISTING = {"job": "jobs", "data set": "data", "request": "requests"}


def find_id(ids: Iterable[str], given: str, what: str) -> str:
    """Return the one id that is given, or begins or ends so."""
    found = [each for each in ids if each.startswith(given) or each.endswith(given)]
    if given in found:
        return given
    if not found:
        raise Stopped(f"the {what} {given} does not exist; the command `{LISTING[what]}` lists what does", NOTHING)
    if len(found) > 1:
        some = ", ".join(found[:3])
        raise Stopped(f"{given} could be any of {len(found)} {what}s, such as {some}; write more of it", USAGE)
    return found[0]


def add_job_or_fleet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB|FLEET", help="a job's id, or the beginning or the end of it; or a fleet")


def add_pipeline_or_fleet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", metavar="PIPELINE|FLEET", help="a pipeline, or an entry with for_each: all of it")


def entries_of(app: App) -> tuple[list[str], list[str]]:
    """Return the pipelines that are alone in the file, and its fleets; none where it cannot be read, and a note why."""
    try:
        return list(app.pipelines.alone), list(app.pipelines.fleets)
    except BadConfiguration as error:
        tell(f"only what the records have is shown: {error}")
        return [], []


def fleet_of(name: str, fleets: Iterable[str]) -> str | None:
    """Return the fleet that a pipeline of this name is, or was, a member of: no other entry's name begins so."""
    return next((fleet for fleet in fleets if name.startswith(f"{fleet}-")), None)


def listed(names: Iterable[str], fleets: Iterable[str]) -> str:
    """Return the names for a message: of many members the fleet and one, `bike (20 members, such as bike-001)`."""
    fleets = sorted(fleets)
    alone: list[str] = []
    members: dict[str, list[str]] = {}
    for name in sorted(names):
        if fleet := fleet_of(name, fleets):
            members.setdefault(fleet, []).append(name)
        else:
            alone.append(name)
    many = [f"{fleet} ({len(found)} members, such as {found[0]})" for fleet, found in members.items()]
    return ", ".join([*alone, *many])


def known(app: App, name: str) -> str:
    """Return the name if a pipeline or a fleet has it; else stop and list the known ones."""
    pipelines = app.pipelines
    if name in pipelines.fleets or name in pipelines:
        return name
    if same := differs_in_case(name, [*pipelines, *pipelines.fleets]):
        raise Stopped(f"the pipeline {name!r} does not exist; {same!r} differs in case only", NOTHING)
    without = [f"{fleet} (no members yet)" for fleet in pipelines.fleets if not pipelines.members(fleet)]
    there = ", ".join(filter(None, [listed(pipelines, pipelines.fleets), *without]))
    raise Stopped(f"the pipeline {name!r} does not exist; the pipelines are: {there}", NOTHING)


def ids_of(app: App, name: str | None, ids: Callable[[str | None], list[Id]], owner: Callable[[Id], str]) -> list[Id]:
    """Return the ids of all, of a pipeline, or of all members of a fleet; `owner` is the pipeline of an id."""
    found = ids(name)
    if name is None or found or known(app, name) not in app.pipelines.fleets:
        return found
    return [each for each in ids(None) if fleet_of(owner(each), [name])]


def known_alone(app: App, name: str) -> str:
    """Return the name if one pipeline has it."""
    if name in app.pipelines.fleets:
        members = listed(app.pipelines.members(name), [name]) or f"{name} (no members yet)"
        raise Stopped(f"{name} is a fleet, and this takes one pipeline: {members}", NOTHING)
    return known(app, name)
