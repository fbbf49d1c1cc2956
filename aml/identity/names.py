"""The service's real host names, by which a program reaches this server through its proxy."""

from __future__ import annotations

from collections.abc import Collection

from aml.state.workspace import Workspace
from service.guard import is_for_this_machine


def real_names(workspace: Workspace) -> list[str]:
    """Return the host names by which a client calls the real service; `*` stands for the name of an endpoint."""
    region, account = workspace.identity.location, workspace.account
    own = ["management.azure.com", f"{region}.api.azureml.ms", f"{account.name}.blob.{account.suffix}"]
    return [*own, f"*.{_inference(workspace)}"]


def leads_here(host: str, names: Collection[str]) -> bool:
    """Return whether a host, in lower case and without a port, is one of the names."""
    return host in names or f"*.{host.partition('.')[2]}" in names


def endpoint_of_host(workspace: Workspace, host: str) -> str:
    """Return the endpoint whose host that is; "" for another host."""
    name, _, rest = host.partition(":")[0].lower().partition(".")
    return name if rest == _inference(workspace) else ""


def scoring_uri(workspace: Workspace, base: str, name: str) -> str:
    """Return where an online endpoint is called, by a caller that reaches this server at `base`."""
    return f"{base}/score/{name}" if is_of_this_machine(base) else f"https://{name}.{_inference(workspace)}/score"


def jobs_uri(workspace: Workspace, base: str, name: str) -> str:
    """Return where a batch endpoint is called, by a caller that reaches this server at `base`."""
    return f"{base}/batch/{name}/jobs" if is_of_this_machine(base) else f"https://{name}.{_inference(workspace)}/jobs"


def is_of_this_machine(base: str) -> bool:
    """Return whether a caller reaches this server by a name of this machine, and not by one of the service's."""
    return is_for_this_machine(base.partition("://")[2].partition(":")[0])


def _inference(workspace: Workspace) -> str:
    return f"{workspace.identity.location}.inference.ml.azure.com".lower()
