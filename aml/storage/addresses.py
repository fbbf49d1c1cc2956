"""The addresses of data: which blobs of the workspace's account each names. No other account is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from aml.errors import ArmError, bad_request
from aml.state.records import Datastore, Job, Version
from aml.state.runs import Run, artifacts_of
from aml.state.workspace import ARTIFACTS, DEFAULT_DATASTORE, Workspace

_STORE = re.compile(
    r"azureml://(?:subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)/workspaces/(?P<workspace>[^/]+)/)?"
    r"datastores/(?P<store>[^/]+)/paths/(?P<path>.*)",
    re.IGNORECASE,
)
_OUTPUT = re.compile(
    r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/|/paths/(?P<path>.*))?", re.IGNORECASE
)
_RUN = re.compile(r"runs:/(?P<run>[^/?]+)/(?P<path>.+)")
_ASSET = re.compile(
    r"(?:azureml:/?/?)?/?(?:subscriptions/.*/)?(?:locations/[^/]+/)?workspaces/(?P<workspace>[^/]+)/"
    r"(?P<collection>models|data|codes)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)/?",
    re.IGNORECASE,
)
_CONTAINER = re.compile(r"\$root|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Place:
    """A blob, or all blobs below a prefix, which ends with a slash."""

    container: str
    path: str


def place_of(workspace: Workspace, address: str, target: str = "uri") -> Place:
    """Return what an address names. Raises for one that leads elsewhere, or to what is not there."""
    return _place_of(workspace, address, target, 0)


def _place_of(workspace: Workspace, address: str, target: str, depth: int) -> Place:
    if depth > 5:
        raise bad_request(f"The address {address[:200]!r} leads to itself.", target)
    if found := _STORE.fullmatch(address):
        return _in_store(workspace, found, target)
    if found := _OUTPUT.fullmatch(address):
        inner = output_address(workspace, found["job"], found["output"], target)
        base = _place_of(workspace, inner, target, depth + 1)
        return _checked(base.container, f"{base.path}{found['path'] or ''}", target)
    if found := _ASSET.fullmatch(address):
        return _place_of(workspace, _asset_address(workspace, found, target), target, depth + 1)
    return _in_account(workspace, address, target)


def resolved(workspace: Workspace, address: str, target: str = "uri") -> str:
    """Return the address with the datastore that is meant, in its long form, where it names an output or an asset."""
    if found := _RUN.fullmatch(address):
        address = f"azureml://jobs/{found['run']}/outputs/artifacts/paths/{found['path']}"
    for _ in range(5):
        if found := _STORE.fullmatch(address):
            known = workspace.identity
            place = f"subscriptions/{known.subscription}/resourcegroups/{known.group}/workspaces/{known.workspace}"
            return f"azureml://{place}/datastores/{found['store']}/paths/{found['path']}"
        if found := _OUTPUT.fullmatch(address):
            address = f"{output_address(workspace, found['job'], found['output'], target)}{found['path'] or ''}"
        elif found := _ASSET.fullmatch(address):
            address = _asset_address(workspace, found, target)
        else:
            return address
    raise bad_request(f"The address {address[:200]!r} leads to itself.", target)


def output_address(workspace: Workspace, job: str, output: str, target: str = "uri") -> str:
    """Return the address of a job's output. `artifacts` is what its run logged, as of a run that is not of a job."""
    record = workspace.records.find(Job, f"jobs/{job}".lower())
    run = record or workspace.records.find(Run, job.lower())
    if run and output == "artifacts":
        return f"azureml://datastores/{ARTIFACTS}/paths/{artifacts_of(run.name)}"
    ports = record.properties.get("outputs") or {} if record else {}
    if record is None or output not in ports:
        raise bad_request(f"The job {job[:80]!r} with an output {output[:80]!r} is not there.", target)
    return str(ports[output].get("uri") or default_output(record.name, output, ports[output]["jobOutputType"]))


def default_output(job: str, output: str, kind: str) -> str:
    """Return where an output without an address goes."""
    end = "" if kind == "uri_file" else "/"
    return f"azureml://datastores/{DEFAULT_DATASTORE}/paths/azureml/{job}/{output}{end}"


def below(place: Place, path: str, target: str = "path") -> Place:
    """Return what is at a path below the place. Raises for a path that leads out of it."""
    return _checked(place.container, f"{place.path}{path}", target)


def _in_store(workspace: Workspace, found: re.Match[str], target: str) -> Place:
    known = workspace.identity
    given = [found[each] for each in ("subscription", "group", "workspace")]
    if found["workspace"] and [each.lower() for each in given] != [
        each.lower() for each in (known.subscription, known.group, known.workspace)
    ]:
        raise bad_request(f"The address {found[0][:200]!r} names another workspace.", target)
    store = workspace.records.find(Datastore, f"datastores/{found['store']}".lower())
    if store is None:
        raise bad_request(f"Could not find datastore: {found['store'][:80]}", target)
    return _checked(store.properties["containerName"], found["path"], target)


def _asset_address(workspace: Workspace, found: re.Match[str], target: str) -> str:
    collection, name = found["collection"].lower(), found["name"]
    if output := re.fullmatch(r"azureml_(.+)_output_(\w+)", name):
        return output_address(workspace, output[1], output[2], target)
    version = workspace.records.find(Version, f"{collection}/{name}/versions/{found['version']}".lower())
    if version is None:
        raise bad_request(f"The specified resource was not found: {collection}/{name[:80]}", target)
    member = {"models": "modelUri", "data": "dataUri", "codes": "codeUri"}[collection]
    return str(version.properties[member])


def _in_account(workspace: Workspace, address: str, target: str) -> Place:
    """Return the place of an `https`, `wasbs` or `abfss` address, which must be of the workspace's own account."""
    account = workspace.account
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        raise _elsewhere(address, target) from None
    if parts.query or parts.fragment:
        raise bad_request("The address has a query. Data is read by identity: give it without a signature.", target)
    if parts.scheme in ("wasb", "wasbs", "abfs", "abfss"):
        if not (host.startswith(f"{account.name}.") and parts.username):
            raise _elsewhere(address, target)
        return _checked(parts.username, unquote(parts.path).lstrip("/"), target)
    path = unquote(parts.path)
    if address.startswith(f"{account.address}/"):
        path = path.removeprefix(unquote(urlsplit(account.address).path))
    elif parts.scheme != "https" or host not in (f"{account.name}.blob.{account.suffix}",):
        raise _elsewhere(address, target)
    container, _, rest = path.lstrip("/").partition("/")
    return _checked(container, rest, target)


def _checked(container: str, path: str, target: str) -> Place:
    if not _CONTAINER.fullmatch(container):
        raise bad_request(f"The container {container[:80]!r} has an invalid name.", target)
    if {".", ".."} & set(re.split(r"[/\\]", path)) or re.search(r"[\x00-\x1f\x7f]", path) or len(path) > 1024:
        raise bad_request(f"The path {path[:80]!r} is invalid: it has a part '.' or '..', or is too long.", target)
    return Place(container, path)


def _elsewhere(address: str, target: str) -> ArmError:
    message = (
        f"The address {address.partition('?')[0][:200]!r} does not lead to this workspace's storage. It can be "
        "azureml://datastores/{name}/paths/{path}, azureml://jobs/{job}/outputs/{output}, the id of an asset, or the "
        "https, wasbs or abfss address of a blob of the workspace's own account."
    )
    return bad_request(message, target)
