"""Assets and their versions, as they are made."""

from __future__ import annotations

from typing import Any

import msgspec

from aml.state.records import Asset, Records, Version, make

_DIGITS = 9  #: of a version that counts as a number, at most


def find_or_make_asset(records: Records, path: str) -> tuple[Asset, bool]:
    """Return the asset, as `models/income`, and whether this call made it."""
    fresh = make(Asset, path, {"tags": {}, "properties": {}, "isArchived": False})
    found = records.find_or_make(Asset, fresh.id, lambda: fresh)
    return found, found is fresh


def add_version(records: Records, asset: Asset, version: str, properties: dict[str, Any]) -> tuple[Version, bool]:
    """Make a version unless it is there; return the one that is there, and whether it is new."""
    if version.isascii() and version.isdigit() and len(version) <= _DIGITS:
        records.change(Asset, asset.id, lambda found: _counted(found, int(version)))
    fresh = make(Version, f"{asset.path}/versions/{version}", properties)
    kept = records.find_or_make(Version, fresh.id, lambda: fresh)
    return kept, kept is fresh


def add_next_version(records: Records, asset: Asset, properties: dict[str, Any]) -> Version:
    """Make a version with the next number."""
    while True:  # a version may have been made by its number since
        counted = records.change(Asset, asset.id, lambda found: _counted(found, found.highest + 1)) or asset
        made, new = add_version(records, asset, str(counted.highest), properties)
        if new:
            return made


def _counted(asset: Asset, number: int) -> Asset | None:
    return msgspec.structs.replace(asset, highest=number) if number > asset.highest else None
