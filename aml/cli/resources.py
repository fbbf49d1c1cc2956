"""`list`, `jobs`, `endpoints` and `logs`: what is in the running workspace."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aml.cli.place import add_data
from aml.cli.running import lines_at, open_running
from aml.remote import Remote
from service.commands import Failed, Stopped
from service.output import add_json, print_json, print_table, show

_MOST = 50  #: resources that are listed unless more are asked for
_MOST_LINES = 5000  #: of a deployment's log
Row = Mapping[str, str]


def _asset(resource: Mapping[str, Any]) -> Row:
    properties = resource["properties"]
    tags = ", ".join(f"{name}={value}" for name, value in properties["tags"].items())
    return {
        "name": resource["name"],
        "latest": properties.get("latestVersion", ""),
        "changed": moment(resource["systemData"]["lastModifiedAt"])[5:],
        "tags": tags,
    }


def _job(resource: Mapping[str, Any]) -> Row:
    properties = resource["properties"]
    return {
        "name": resource["name"],
        "status": properties["status"],
        "created": moment(resource["systemData"]["createdAt"])[5:],
        "experiment": properties["experimentName"],
    }


def _endpoint(resource: Mapping[str, Any]) -> Row:
    properties = resource["properties"]
    return {
        "name": resource["name"],
        "state": properties["provisioningState"],
        "auth": properties["authMode"],
        "traffic": percents(properties["traffic"]),
        "mirrored": percents(properties["mirrorTraffic"]),
    }


def _deployment(resource: Mapping[str, Any]) -> Row:
    properties = resource["properties"]
    served = properties.get("model") or (properties.get("codeConfiguration") or {}).get("scoringScript", "")
    return {
        "endpoint": resource["id"].split("/")[-3],
        "name": resource["name"],
        "state": properties["provisioningState"],
        "instances": str(resource["sku"]["capacity"]),
        "serves": brief(served),
    }


def _batch_endpoint(resource: Mapping[str, Any]) -> Row:
    properties = resource["properties"]
    default = properties["defaults"].get("deploymentName", "")
    return {"name": resource["name"], "state": properties["provisioningState"], "default": default}


def _batch_deployment(resource: Mapping[str, Any]) -> Row:
    properties = resource["properties"]
    component = properties["deploymentConfiguration"]["componentId"]["assetId"]
    return {
        "endpoint": resource["id"].split("/")[-3],
        "name": resource["name"],
        "state": properties["provisioningState"],
        "starts": brief(component),
    }


def _compute(resource: Mapping[str, Any]) -> Row:
    cluster = resource["properties"]["properties"]
    nodes = cluster["scaleSettings"]["maxNodeCount"]
    return {"name": resource["name"], "size": cluster["vmSize"], "jobs at once": str(nodes)}


def _datastore(resource: Mapping[str, Any]) -> Row:
    properties = resource["properties"]
    default = "default" if properties.get("isDefault") else ""
    return {"name": resource["name"], "container": properties["containerName"], "": default}


@dataclass(frozen=True)
class Kind:
    """A kind of resource: where it is listed, and a row of its table."""

    path: str
    row: Callable[[Mapping[str, Any]], Row]


KINDS: Mapping[str, Kind] = {
    "jobs": Kind("jobs", _job),
    "models": Kind("models", _asset),
    "endpoints": Kind("onlineEndpoints", _endpoint),
    "deployments": Kind("onlineEndpoints/{}/deployments", _deployment),
    "batch-endpoints": Kind("batchEndpoints", _batch_endpoint),
    "batch-deployments": Kind("batchEndpoints/{}/deployments", _batch_deployment),
    "data": Kind("data", _asset),
    "environments": Kind("environments", _asset),
    "components": Kind("components", _asset),
    "computes": Kind("computes", _compute),
    "datastores": Kind("datastores", _datastore),
}


def add(commands: Any) -> None:
    listed = commands.add_parser("list", help="show the jobs, models, endpoints or other resources, the newest first")
    listed.add_argument("kind", metavar="KIND", choices=KINDS, help=f"one of: {', '.join(KINDS)}")
    _add_most(listed)
    listed.set_defaults(run=lambda chosen: _list(chosen, chosen.kind))

    jobs = commands.add_parser("jobs", help="show a job: its state, inputs, outputs, metrics and error; or the jobs")
    jobs.add_argument("name", metavar="JOB", nargs="?", help="the job's name; without it the jobs are listed")
    _add_most(jobs)
    jobs.set_defaults(run=lambda chosen: _show_job(chosen) if chosen.name else _list(chosen, "jobs"))

    endpoints = commands.add_parser("endpoints", help="show an endpoint: addresses, traffic, deployments; or all")
    endpoints.add_argument("name", metavar="ENDPOINT", nargs="?", help="its name; without it the endpoints are listed")
    _add_most(endpoints)
    endpoints.set_defaults(run=lambda chosen: _show_endpoint(chosen) if chosen.name else _list(chosen, "endpoints"))

    logs = commands.add_parser("logs", help="print the log of a job, or of a deployment of an endpoint")
    logs.add_argument("name", metavar="JOB|ENDPOINT", help="a job, or with DEPLOYMENT behind it an endpoint")
    logs.add_argument("deployment", metavar="DEPLOYMENT", nargs="?", help="a deployment of the endpoint")
    logs.add_argument("--tail", type=_count, metavar="LINES", help="the last lines only; of a deployment 5,000 at most")
    logs.add_argument("--storage", action="store_true", help="the log of what a deployment downloaded")
    add_data(logs)
    logs.set_defaults(run=_logs)


def _add_most(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--top", type=_count, default=_MOST, metavar="N", help=f"list N at most; {_MOST}")
    add_data(parser)
    add_json(parser)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def _list(chosen: argparse.Namespace, kind: str) -> int:
    remote, most = open_running(chosen.data), chosen.top
    found = _found(remote, kind, most + 1)
    rows = [KINDS[kind].row(each) for each in found[:most]]
    titles = list(rows[0]) if rows else []
    none = f"the workspace has no {kind.replace('-', ' ')} yet"
    show(chosen.json, found[:most], titles, [list(row.values()) for row in rows], none=none)
    if len(found) > most:
        print(f"aml: the newest {most} are shown; --top N shows more", file=sys.stderr)
    return 0


def _found(remote: Remote, kind: str, most: int) -> list[dict[str, Any]]:
    """Return the resources of the kind; deployments are those of all endpoints."""
    endpoints, below, path = KINDS[kind].path.partition("/{}")
    if not below:
        return remote.listed(endpoints, most)
    found: list[dict[str, Any]] = []
    for endpoint in remote.listed(endpoints):
        found += remote.listed(f"{endpoints}/{endpoint['name']}{path}", most - len(found))
        if len(found) >= most:
            break
    return found


def _show_job(chosen: argparse.Namespace) -> int:
    remote = open_running(chosen.data)
    properties = remote.get(f"jobs/{chosen.name}")["properties"]
    details, run = remote.history(f"runs/{chosen.name}/details"), remote.run(chosen.name)
    outputs = properties["outputs"].items()
    children = remote.history(f"runs/{chosen.name}/children")["value"]
    shown = {
        "name": details["runId"],
        "status": properties["status"],
        "title": properties["displayName"],
        "experiment": properties["experimentName"],
        "created": details["createdUtc"],
        "started": details.get("startTimeUtc"),
        "ended": details.get("endTimeUtc"),
        "command": properties.get("command"),
        "error": (details.get("error") or {}).get("error", {}).get("message"),
        "tags": properties["tags"],
        "inputs": {name: each.get("uri", each.get("value")) for name, each in properties["inputs"].items()},
        "outputs": {name: each.get("uri") or f"azureml://jobs/{chosen.name}/outputs/{name}" for name, each in outputs},
        "parameters": {each["key"]: each["value"] for each in run["data"]["params"]},
        "metrics": {each["key"]: each["value"] for each in run["data"]["metrics"]},
        "children": {each["displayName"]: each["status"] for each in children},
    }
    if chosen.json:
        print_json(shown)
    else:
        times = {name: moment(shown[name], 19) for name in ("created", "started", "ended") if shown[name]}
        _print_parts("job", {**shown, **times, "inputs": {name: brief(each) for name, each in shown["inputs"].items()}})
    return 0


def _show_endpoint(chosen: argparse.Namespace) -> int:
    """Show an online endpoint, or else the batch endpoint of that name."""
    remote = open_running(chosen.data)
    place, row = f"onlineEndpoints/{chosen.name}", _deployment
    if (endpoint := remote.find(place)) is None and (found := remote.find(f"batchEndpoints/{chosen.name}")):
        place, row, endpoint = f"batchEndpoints/{chosen.name}", _batch_deployment, found
    endpoint = endpoint or remote.get(place)  # which is refused
    deployments = remote.listed(f"{place}/deployments")
    if chosen.json:
        print_json({**endpoint, "deployments": deployments})
        return 0
    properties = endpoint["properties"]
    facts = {
        "name": endpoint["name"],
        "state": properties["provisioningState"],
        "auth": properties["authMode"],
        "scoring": properties["scoringUri"],
        "swagger": properties.get("swaggerUri"),
        "default": properties.get("defaults", {}).get("deploymentName"),
        "traffic": percents(properties["traffic"]) or "none" if "traffic" in properties else None,
        "mirrored": percents(properties.get("mirrorTraffic", {})) or None,
    }
    _print_parts("endpoint", facts)
    if deployments:
        print()
        rows = [{name: cell for name, cell in row(each).items() if name != "endpoint"} for each in deployments]
        print_table(["deployment", *list(rows[0])[1:]], [list(row.values()) for row in rows])
    return 0


def _print_parts(title: str, shown: Mapping[str, Any]) -> None:
    """Print what is a text as one table, and each map that is not empty as one of its own."""
    texts = {name: value for name, value in shown.items() if isinstance(value, str) and value}
    print_table([title, ""], [(name, value) for name, value in texts.items() if name != "error"])
    for name, value in shown.items():
        if isinstance(value, dict) and value:
            print()
            print_table([name, ""], [(key, _text(each)) for key, each in value.items()])
    if "error" in texts:
        print()
        print_table(["error"], [[texts["error"]]])


def _logs(chosen: argparse.Namespace) -> int:
    if chosen.storage and not chosen.deployment:
        raise Stopped("--storage is of a deployment: logs ENDPOINT DEPLOYMENT --storage")
    remote = open_running(chosen.data)
    if chosen.deployment:
        kind = "StorageInitializer" if chosen.storage else "InferenceServer"
        asked = {"tail": chosen.tail or _MOST_LINES, "containerType": kind}
        path = f"onlineEndpoints/{chosen.name}/deployments/{chosen.deployment}/getLogs"
        sys.stdout.write(remote.post(path, asked)["content"])
        return 0
    links = remote.history(f"runs/{chosen.name}/details")["logFiles"]
    if not links:
        raise Failed(f"the job {chosen.name} has no log yet: its command has not begun")
    lines = (line for link in links.values() for line in lines_at(link))
    for line in lines if chosen.tail is None else deque(lines, chosen.tail):
        print(line)
    return 0


def percents(traffic: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {part}%" for name, part in traffic.items())


def brief(address: str) -> str:
    """Return an asset's ARM id as `name:version`; other addresses as they are."""
    parts = address.split("/")
    is_asset = address.startswith("/subscriptions/") and parts[-2].lower() == "versions"
    return f"{parts[-3]}:{parts[-1]}" if is_asset else address


def moment(stamp: str, size: int = 16) -> str:
    """Return a time of the service in UTC, to the minute, or to the second with 19 signs."""
    return stamp[:size].replace("T", " ")


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
