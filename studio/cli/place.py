"""Where a command finds its Studio: the folder of the records, the storage, and the server if one runs there."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from service.commands import Stopped

if TYPE_CHECKING:  # the libraries behind it take seconds to load, which --help and fault need not wait for
    from studio.publishing import Studio

DATA, STORAGE, ACCOUNTS = "STUDIO_DATA", "STUDIO_STORAGE", "STUDIO_ACCOUNTS"
_UP = Path(__file__).resolve().parent.parent.parent / ".relearn"  #: what `run.py up` makes beside the checkout


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=os.environ.get(DATA) or _UP / "studio", help="folder of the Studio's records"
    )


def storage() -> str:
    """Return the storage's connection string, or nothing: the setting, else what `run.py up` wrote down."""
    if given := os.environ.get(STORAGE):
        return given
    try:
        values = json.loads((_UP / "local.settings.json").read_text())["Values"]
        return str(values["AzureWebJobsStorage"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def open_new(folder: Path) -> Studio:
    """Return the Studio of the folder with its storage; it is made if it is not there."""
    from service.database import OtherVersion
    from studio.publishing import Studio
    from studio.state.places import NoPlace, read_accounts

    connection = storage()
    if not connection:
        raise Stopped(f"the setting {STORAGE} with a storage connection string is missing; `run.py up` has one too")
    try:
        studio = Studio(folder, connection, read_accounts(os.environ.get(ACCOUNTS, "")))
        assert studio.blobs.account, "a connection string names its account"
        return studio
    except OtherVersion as error:
        raise Stopped(str(error)) from None
    except OSError as error:
        raise Stopped(f"the folder {folder} cannot be used: {error.strerror}") from None
    except NoPlace as error:
        raise Stopped(f"the setting {ACCOUNTS} cannot be used: {error}") from None
    except ValueError:
        raise Stopped(f"the setting {STORAGE} is not a storage connection string") from None


def open_made(folder: Path) -> Studio:
    """Return the Studio that is in the folder; no storage is needed to read and change its records."""
    from service.database import OtherVersion
    from studio.publishing import Studio

    if not (folder / "studio.sqlite").exists():
        raise Stopped(f"{folder} does not hold a Studio; give --data, or make one: python -m studio publish")
    try:
        return Studio(folder, storage())
    except OtherVersion as error:
        raise Stopped(str(error)) from None
