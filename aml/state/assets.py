"""Assets and their versions, as they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from aml.state.records import Asset, R, Records, Version, make, now

_DIGITS = 9  #: of a version that counts as a number, at most


def find_or_make_asset(records: Records, path: str) -> tuple[Asset, bool]:
    """Return the asset, as `models/income`, and whether this call made it."""
    fresh = make(Asset, path, {"tags": {}, "properties": {}, "isArchived": False})
    found = records.find_or_make(Asset, fresh.id, lambda: fresh)
    return found, found is fresh


def add_version(
    records: Records, asset: Asset, version: str, properties: dict[str, Any], **more: str
) -> tuple[Version, bool]:
    """Make a version unless it is there; return the one that is there, and whether it is new."""
    if version.isascii() and version.isdigit() and len(version) <= _DIGITS:
        records.change(Asset, asset.id, lambda found: _counted(found, int(version)))
    fresh = make(Version, f"{asset.path}/versions/{version}", properties, **more)
    kept = records.find_or_make(Version, fresh.id, lambda: fresh)
    return kept, kept is fresh


def add_next_version(records: Records, asset: Asset, properties: dict[str, Any], **more: str) -> Version:
    """Make a version with the next number."""
    while True:  # a version may have been made by its number since
        counted = records.change(Asset, asset.id, lambda found: _counted(found, found.highest + 1)) or asset
        made, new = add_version(records, asset, str(counted.highest), properties, **more)
        if new:
            return made


def with_properties(resource: R, changes: Mapping[str, Any]) -> R:
    """Return the resource with these properties; one that becomes None is removed."""
    known = {**resource.properties, **changes}
    kept = {name: value for name, value in known.items() if value is not None}
    return msgspec.structs.replace(resource, properties=kept, modified=now())


def change_properties(records: Records, resource: R, changes: Callable[[dict[str, Any]], Mapping[str, Any]]) -> R:
    """Return the resource with its properties changed, recorded; another program's change is not lost."""
    changed = records.change(type(resource), resource.id, lambda it: with_properties(it, changes(it.properties)))
    return changed or resource


def aliases_of(asset: Asset, version: Version) -> list[str]:
    return [alias for alias, name in asset.aliases.items() if name.lower() == version.name.lower()]


def set_alias(records: Records, asset: Asset, alias: str, version: str | None) -> None:
    """Have the alias name the version, or nothing."""

    def change(found: Asset) -> Asset:
        others = {name: each for name, each in found.aliases.items() if name != alias}
        return msgspec.structs.replace(found, aliases=others if version is None else {**others, alias: version})

    records.change(Asset, asset.id, change)


def remove_version(records: Records, version: Version) -> None:
    """Remove the version and its aliases."""
    asset = records.find(Asset, version.parent.rpartition("/")[0])
    for alias in aliases_of(asset, version) if asset else []:
        assert asset is not None
        set_alias(records, asset, alias, None)
    records.delete(version)


def _counted(asset: Asset, number: int) -> Asset | None:
    return msgspec.structs.replace(asset, highest=number) if number > asset.highest else None
