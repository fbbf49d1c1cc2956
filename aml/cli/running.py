"""The workspace that runs over a folder: a command calls it with a token of its identity endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import requests

from aml.cli.place import identity_of, running_address
from aml.remote import Remote
from service.client import Client
from service.commands import Failed, Stopped
from service.listening import noted

_MANAGEMENT = "https://management.azure.com"


def open_running(folder: Path) -> Remote:
    """Return the workspace whose server runs over the folder."""
    from aml.identity.authority import AUTHORITY

    address, identity = running_address(folder), identity_of(folder)
    authority = folder / AUTHORITY
    trusted: str | bool = str(authority) if address.startswith("https") else True
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(
                f"{address}/msi/token",
                params={"api-version": "2019-08-01", "resource": _MANAGEMENT},
                headers={"X-IDENTITY-HEADER": identity.identity_header},
                verify=trusted,
                timeout=60,
            )
            token = str(answer.json()["access_token"])
        except (requests.RequestException, ValueError, KeyError) as error:
            raise Stopped(
                f"the server at {address} gave no token ({type(error).__name__}); is it a workspace?"
            ) from None
    return Remote(address, str(noted(folder)["workspace"]), Client(token, trusted))


def lines_at(link: str) -> Iterator[str]:
    """Return the lines of a log, read as they are needed. The link has a signature, and is called without a token."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.get(link, stream=True, timeout=60) as answer:
                if not answer.ok:
                    raise Failed(f"the storage answered {answer.status_code} for the log")
                for line in answer.iter_lines():
                    yield line.decode(errors="replace")
        except requests.RequestException as error:
            raise Stopped(f"the log could not be read from the storage ({type(error).__name__})") from None
