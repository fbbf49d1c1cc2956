"""`env`: print the variables that lead an unchanged program to the running workspace."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from aml.cli.place import add_data, identity_of, running_address
from service.commands import Stopped
from service.listening import noted, running

SHELLS: Mapping[str, Callable[[str, str], str]] = {
    "bash": lambda name, value: f"export {name}={shlex.quote(value)}",
    "powershell": lambda name, value: "$env:{} = '{}'".format(name, value.replace("'", "''")),
}


def add(commands: Any) -> None:
    env = commands.add_parser("env", help="print the variables that lead an unchanged program here; they hold a secret")
    add_data(env)
    env.add_argument("--shell", choices=[*SHELLS, "json"], default="bash", help="how they are written; bash")
    env.add_argument(
        "--proxy", action="store_true", help="lead the service's real host names here; needs serve --proxy"
    )
    env.add_argument("--mlflow", action="store_true", help="also lead MLflow here without its plug-in, for 21 days")
    env.set_defaults(run=_env)


def _env(chosen: argparse.Namespace) -> int:
    address = running_address(chosen.data)

    from aml.identity.authority import AUTHORITY
    from aml.jobs.variables import tracking

    identity, authority = identity_of(chosen.data), (chosen.data / AUTHORITY).resolve()
    values = variables(identity, address, str(authority))
    if chosen.mlflow:
        values |= tracking(identity, f"{address}/mlflow/v1.0{noted(chosen.data)['workspace']}", authority)
    if chosen.proxy:
        if not (proxy := running(chosen.data, "proxy")):
            raise Stopped(f"the server over {chosen.data} has no proxy; start it with: python -m aml serve --proxy")
        # Names that are not the service's are refused by the proxy. The identity endpoint is called without it.
        del values["ARM_CLOUD_METADATA_URL"]
        values |= {"HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost"}
    if chosen.shell == "json":
        print(json.dumps(values, indent=2))
    else:
        print("\n".join(SHELLS[chosen.shell](name, value) for name, value in values.items()))
    return 0


def variables(identity: Any, address: str, authority: str) -> dict[str, str]:
    """Return the variables by their names. `authority` is the file of the certificate to trust."""
    return {
        # The Azure SDK takes the addresses of the cloud from there, MLflow's plug-in too.
        "ARM_CLOUD_METADATA_URL": f"{address}/metadata/endpoints?api-version=2019-05-01",
        # DefaultAzureCredential asks there for tokens, as in App Service.
        "IDENTITY_ENDPOINT": f"{address}/msi/token",
        "IDENTITY_HEADER": identity.identity_header,
        "REQUESTS_CA_BUNDLE": authority,
        "SSL_CERT_FILE": authority,
        "NODE_EXTRA_CA_CERTS": authority,
        "AZURE_SUBSCRIPTION_ID": identity.subscription,
        "AZURE_RESOURCE_GROUP": identity.group,
        "AZUREML_WORKSPACE_NAME": identity.workspace,
    }
