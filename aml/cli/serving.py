"""`serve`: answer as an Azure Machine Learning workspace on this machine."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aml.cli.place import add_data, open_workspace
from service.commands import Stopped
from service.listening import address_of, announced, listen

_CONNECTIONS = 16  #: to the records that stay open
_CLOSING = 0.2  #: seconds in which a client may answer that its connection ends


def add(commands: Any) -> None:
    serve = commands.add_parser("serve", help="answer as a workspace on this machine until it is stopped")
    add_data(serve)
    serve.add_argument("--address", default="127.0.0.1", help="a loopback address of this machine; 127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve.add_argument(
        "--environments",
        type=Path,
        default=Path(__file__).parent.parent / "environments.yaml",
        help="YAML file of which Python runs the jobs of an environment; aml/environments.yaml",
    )
    serve.add_argument("--deploying", type=float, default=1.0, help="least seconds that a deployment takes; 1")
    serve.add_argument("--control", action="store_true", help="take orders for faults, on its own port")
    serve.add_argument("--subscription", default="", help="a new workspace's subscription; a random one unless given")
    serve.add_argument("--group", default="relearn", help="a new workspace's resource group")
    serve.add_argument("--workspace", default="local", help="a new workspace's name")
    serve.add_argument("--location", default="westeurope", help="a new workspace's region")
    serve.add_argument("--proxy", action="store_true", help="lead the service's real host names here, on its own port")
    serve.add_argument(
        "--mlflow",
        nargs="?",
        const=sys.executable,
        metavar="PYTHON",
        help="have a real MLflow server answer MLflow's calls, run by a Python that has mlflow; this one",
    )
    serve.set_defaults(run=_serve)


def _serve(chosen: argparse.Namespace) -> int:
    _check_loopback(chosen.address)
    try:
        listening = listen(chosen.port, chosen.address)
    except OSError:
        raise Stopped(f"port {chosen.port} is taken; stop what uses it, or give another --port") from None

    import uvicorn

    from aml.context import Context
    from aml.faults import Faults
    from aml.identity.names import real_names
    from aml.jobs.runner import JobRunner
    from aml.jobs.variables import JobVariables
    from aml.proxy import Proxy
    from aml.server import OPERATIONS, build
    from aml.serving.changes import Pace
    from aml.serving.runner import Serving
    from service.faults.control import run_control

    pythons = _pythons(chosen.environments)
    workspace = _workspace(chosen)
    names = real_names(workspace) if chosen.proxy else []
    trusted, certificate = _certificates(chosen, workspace, names)
    addresses = {"address": address_of(listening, "https"), "authority": str(trusted), "workspace": workspace.id}
    mlflow, run_of = _mlflow(chosen, workspace)
    faults = Faults([*OPERATIONS, "score"])
    jobs = JobRunner(workspace, pythons, JobVariables(workspace, addresses["address"], trusted, run_of).of, faults)
    serving = Serving(workspace, pythons, Pace(chosen.deploying), faults)
    config = uvicorn.Config(
        build(Context(workspace, jobs, serving, faults, mlflow), names),
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # nothing stands before it: a caller does not say by which scheme it calls
        timeout_graceful_shutdown=5,
        ssl_certfile=certificate,
    )
    if chosen.proxy:
        addresses["proxy"] = Proxy(names, listening.getsockname()).run()
    if chosen.control:
        addresses["control"] = run_control(faults)
    server = server_of(config)
    # Also before it runs: a signal must not be lost. The server raises it again once it has ended.
    signal.signal(signal.SIGTERM, server.handle_exit)
    with announced(chosen.data, **addresses):
        print(json.dumps(addresses), flush=True)
        gc.collect()
        gc.freeze()  # what is loaded stays: a call does not wait until a collection has looked at all of it
        server.run(sockets=[listening])
    return 0


def server_of(config: Any) -> Any:
    """Return a server that ends although clients do not answer that their TLS connections end."""
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            connections = list(self.server_state.connections)
            asyncio.get_running_loop().call_later(_CLOSING, abort_idle, connections)
            await super().shutdown(sockets)

    return Server(config)


def abort_idle(connections: Sequence[Any]) -> None:
    """End the connections on which no request is being answered."""
    for connection in connections:
        cycle = getattr(connection, "cycle", None)  # of a request and its answer
        if connection.transport and (cycle is None or cycle.response_complete):
            connection.transport.abort()


def _workspace(chosen: argparse.Namespace) -> Any:
    from aml.state.workspace import Names

    called = Names(chosen.subscription, chosen.group, chosen.workspace, chosen.location)
    workspace = open_workspace(chosen.data, called)
    workspace.records.idle_at_most = _CONNECTIONS
    return workspace


def _mlflow(chosen: argparse.Namespace, workspace: Any) -> tuple[Any, Callable[[Any], str] | None]:
    """Return the MLflow server that is asked for, and what returns the id of a job's run in it, or None for both."""
    from aml.runs.forwarding import run_in_mlflow, settle
    from aml.runs.real import RealMlflow, check

    if chosen.mlflow is None:
        return None, None
    check(chosen.mlflow)
    mlflow = RealMlflow(chosen.data, chosen.mlflow, partial(settle, workspace.records))
    return mlflow, partial(run_in_mlflow, workspace.records, mlflow)


def _certificates(chosen: argparse.Namespace, workspace: Any, names: Sequence[str]) -> tuple[Path, Path]:
    """Return the files of the authority and of the server's certificate, which has the names."""
    from aml.identity.authority import write_certificates

    hosts = [chosen.address, "127.0.0.1", "localhost", *names]
    return write_certificates(chosen.data, workspace.identity.authority, hosts)


def _pythons(file: Path) -> Any:
    from aml.jobs.pythons import NotEnvironments, read_pythons

    try:
        return read_pythons(file)
    except NotEnvironments as error:
        raise Stopped(str(error)) from None


def _check_loopback(address: str) -> None:
    try:
        if ip_address(address).is_loopback and ip_address(address).version == 4:
            return
    except ValueError:
        pass
    raise Stopped(f"--address {address} is not a loopback address of this machine, as 127.0.0.1")
