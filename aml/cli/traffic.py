"""`traffic`: divide the calls of an endpoint among its deployments."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from aml.cli.place import add_data
from aml.cli.running import open_running
from service.commands import Stopped
from service.output import add_json, show

Part = tuple[str, int]


def add(commands: Any) -> None:
    traffic = commands.add_parser(
        "traffic",
        help="divide an endpoint's calls among its deployments, or show how they are divided",
        description="Divide an endpoint's calls among its deployments. What is not named gets nothing, as in the "
        "service; the sum is 0 or 100. Without PART, show how they are divided.",
    )
    traffic.add_argument("endpoint", metavar="ENDPOINT", help="its name")
    traffic.add_argument("parts", metavar="PART", nargs="*", type=read_part, help="deployment and percent: blue=90")
    traffic.add_argument(
        "--mirror", metavar="PART", action="append", type=read_part, help="also copy calls: deployment and percent"
    )
    add_data(traffic)
    add_json(traffic)
    traffic.set_defaults(run=_traffic)


def read_part(text: str) -> Part:
    name, _, percent = text.partition("=")
    percent = percent.removesuffix("%")
    if not name or not (percent.isascii() and percent.isdigit() and len(percent) < 4):
        raise argparse.ArgumentTypeError(f"{text!r} is not a deployment and a percent, as blue=90")
    return name, int(percent)


def _traffic(chosen: argparse.Namespace) -> int:
    for parts in (chosen.parts, chosen.mirror or []):
        names = [name.lower() for name, _ in parts]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise Stopped(f"the deployment {twice!r} is given twice")
    remote, path = open_running(chosen.data), f"onlineEndpoints/{chosen.endpoint}"
    endpoint = remote.get(path)
    if chosen.parts or chosen.mirror:
        remote.put(path, with_traffic(endpoint, chosen.parts, chosen.mirror))
        endpoint = remote.get(path)
    properties = endpoint["properties"]
    traffic, mirror = properties["traffic"], properties["mirrorTraffic"]
    names = [each["name"] for each in remote.listed(f"{path}/deployments")]
    rows = [(name, f"{traffic.get(name, 0)}%", f"{mirror[name]}%" if mirror.get(name) else "") for name in names]
    titles, none = ["deployment", "traffic", "mirrored"], f"the endpoint {chosen.endpoint} has no deployment yet"
    show(chosen.json, {"traffic": traffic, "mirrorTraffic": mirror}, titles, rows, none=none)
    return 0


def with_traffic(endpoint: Mapping[str, Any], parts: list[Part], mirror: list[Part] | None) -> dict[str, Any]:
    """Return the body that changes the traffic alone: a PUT replaces all, so it names the rest as it is.

    Mirrored traffic stays unless some is given, except of a deployment that gets live traffic.
    """
    properties = endpoint["properties"]
    traffic = dict(parts) if parts else properties["traffic"]
    live = {name.lower() for name, part in traffic.items() if part}
    kept = {name: part for name, part in properties["mirrorTraffic"].items() if name.lower() not in live}
    changed = {**properties, "traffic": traffic, "mirrorTraffic": kept if mirror is None else dict(mirror)}
    body = {name: endpoint[name] for name in ("location", "kind", "tags", "identity") if name in endpoint}
    return {**body, "properties": changed}
