"""Where a command finds the workspace: the folder of its records, its storage, and the server if one runs there."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from service.commands import Stopped
from service.listening import running

if TYPE_CHECKING:  # the libraries behind it take seconds to load, which --help need not wait for
    from aml.state.records import Identity
    from aml.state.workspace import Names, Workspace

DATA, STORAGE = "AML_DATA", "AML_STORAGE"
_UP = Path(__file__).resolve().parent.parent.parent / ".relearn"  #: what `run.py up` makes beside the checkout


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get(DATA) or _UP / "aml"), help="folder of the records"
    )


def storage() -> str:
    """Return the storage's connection string, or nothing: the setting, else what `run.py up` wrote down."""
    if given := os.environ.get(STORAGE):
        return given
    try:
        values = json.loads((_UP / "local.settings.json").read_text("utf-8"))["Values"]
        return str(values["AzureWebJobsStorage"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def running_address(folder: Path) -> str:
    """Return the address of the server over the folder. Raises `Stopped` where none runs."""
    address = running(folder, "address")
    if address is None:
        raise Stopped(f"no workspace runs over {folder}; start one: python -m aml serve, or give --data")
    return address


def identity_of(folder: Path) -> Identity:
    """Return who the workspace of a server that runs is."""
    from aml.state.records import IDENTITY, Identity, Records

    identity = Records(folder).find(Identity, IDENTITY)
    assert identity is not None, "a server that runs has made it"
    return identity


def open_workspace(folder: Path, names: Names | None = None) -> Workspace:
    """Return the workspace of the folder with its storage; it is made if it is not there."""
    from aml.state.workspace import Workspace
    from service.database import OtherVersion

    connection = storage()
    if not connection:
        raise Stopped(f"the setting {STORAGE} with a storage connection string is missing; `run.py up` has one too")
    try:
        return Workspace(folder, connection, names)
    except OtherVersion as error:
        raise Stopped(str(error)) from None
    except OSError as error:
        raise Stopped(f"the folder {folder} cannot be used: {error.strerror}") from None
    except ValueError:
        raise Stopped(f"the setting {STORAGE} is not a storage connection string") from None
