"""`export` and `import`: a New web service's definition as JSON, as Azure PowerShell's commands of these names did.

An export has no keys. An import is a PUT to the running server, so what the resource manager refuses is refused here.
"""

from __future__ import annotations

import argparse
import copy
import os
import re
from pathlib import Path
from typing import Any

from service.client import Client
from service.commands import Stopped
from service.listening import running
from service.output import print_json
from shared.base.errors import BadConfiguration
from shared.base.json_file import read_json
from studio.cli.place import add_data, open_made

_VERSION = {"api-version": "2017-01-01"}
_GROUP = re.compile(r"/resourceGroups/([^/]+)/", re.IGNORECASE)
_NAME = re.compile(r"[\w.-]+")


def add(commands: Any) -> None:
    exported = commands.add_parser("export", help="print a New web service's definition as JSON, without keys")
    exported.add_argument("name", metavar="NAME", help="the service's name or its id in the resource manager")
    add_data(exported)
    exported.set_defaults(run=_export)

    imported = commands.add_parser("import", help="make or replace a New web service from such a definition")
    imported.add_argument("definition", metavar="FILE", type=Path, help="what export printed")
    imported.add_argument("--name", help="another name than the definition's")
    imported.add_argument("--address", help="the server's address, where it is not found by the data folder")
    add_data(imported)
    imported.set_defaults(run=_import)


def _export(chosen: argparse.Namespace) -> int:
    from studio.state.records import WebService

    services = open_made(chosen.data).records.all(WebService)
    found = [each for each in services if chosen.name.lower() in (each.name.lower(), each.id)]
    if len(found) != 1:
        named = f"the New web service {chosen.name!r} does not exist"
        problem = f"{len(found)} New web services are called {chosen.name!r}" if found else named
        names = ", ".join(str(each.definition["id"]) for each in found) or ", ".join(each.name for each in services)
        raise Stopped(f"{problem}; there are: {names or 'none'}")
    definition = copy.deepcopy(found[0].definition)
    definition["properties"].pop("keys", None)
    definition["properties"]["storageAccount"].pop("key", None)
    print_json(definition)
    return 0


def _import(chosen: argparse.Namespace) -> int:
    from studio.publishing import GROUP

    definition = _read(chosen.definition)
    studio = open_made(chosen.data)
    address = chosen.address or running(chosen.data, "address")
    if not address:
        raise Stopped(f"no server runs over {chosen.data}; start one (python -m studio serve), or give --address")
    name = chosen.name or definition.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Stopped(f"{name!r} cannot be the name of a web service; give --name")
    place = _GROUP.search(str(definition.get("id", "")))
    group = place[1] if place else GROUP
    subscription = studio.identity.subscription
    arm_id = (
        f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearning/webServices/{name}"
    )
    # The certificate of a Studio that answers HTTPS is the user's own.
    client = Client(studio.identity.arm_token, os.environ.get("REQUESTS_CA_BUNDLE") or True)
    body = {**definition, "id": arm_id, "name": name}
    client.follow(client.call("PUT", f"{address}{arm_id}", params=_VERSION, json=body))
    print(arm_id)
    return 0


def _read(file: Path) -> dict[str, Any]:
    try:
        definition = read_json(file)
    except BadConfiguration as error:
        raise Stopped(str(error)) from None
    if not isinstance(definition, dict) or not isinstance(definition.get("properties"), dict):
        raise Stopped(f"{file} is not a web service definition: it has no properties")
    return definition
