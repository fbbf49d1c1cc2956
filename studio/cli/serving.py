"""`serve`: answer Studio's protocols on this machine."""

from __future__ import annotations

import argparse
import json
import signal
import ssl
from pathlib import Path
from typing import Any

from service.commands import Stopped
from service.listening import address_of, announced, listen
from service.loading import loading
from studio.cli.place import add_data, open_new

_CONNECTIONS = 16  #: to the records that stay open


def add(commands: Any) -> None:
    serve = commands.add_parser("serve", help="answer Studio's protocols on this machine until it is stopped")
    add_data(serve)
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve.add_argument("--processes", type=int, default=8, help="processes that BES jobs may have in all")
    serve.add_argument("--at-once", type=int, default=40, help="BES jobs of one endpoint that run at once")
    serve.add_argument("--queued-for", type=float, default=0.0, help="least seconds a BES job waits")
    serve.add_argument("--slow", type=float, default=0.0, help="least seconds a BES job takes")
    serve.add_argument("--control", action="store_true", help="take orders for faults, on its own port")
    serve.add_argument(
        "--host", action="append", default=[], help="a name by which programs call this server, from the hosts file"
    )
    serve.add_argument("--certificate", type=Path, help="PEM file of a certificate chain: answer HTTPS instead of HTTP")
    serve.add_argument("--key", type=Path, help="PEM file of the certificate's key, if it is in a separate file")
    serve.set_defaults(run=_serve)


def _serve(chosen: argparse.Namespace) -> int:
    try:
        listening = listen(chosen.port)
    except OSError:
        raise Stopped(f"port {chosen.port} is taken; stop what uses it, or give another --port") from None
    secured = _secured(chosen.certificate, chosen.key) if chosen.certificate else {}
    studio = open_new(chosen.data)
    studio.records.idle_at_most = _CONNECTIONS

    with loading():
        import uvicorn

        from service.faults.control import run_control
        from studio.api.context import Context
        from studio.faults.orders import Faults
        from studio.jobs.runner import JobRunner, Pace
        from studio.server import OPERATIONS, build

    faults = Faults(OPERATIONS)
    pace = Pace(chosen.processes, chosen.at_once, chosen.queued_for, chosen.slow)
    jobs = JobRunner(studio.records, chosen.data, studio.storage, faults, pace)
    app = build(Context(studio, jobs, faults, chosen.control), chosen.host)
    addresses = {"address": address_of(listening, "https" if secured else "http")}
    if chosen.control:
        addresses["control"] = run_control(faults)
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "timeout_graceful_shutdown": 5}
    server = uvicorn.Server(uvicorn.Config(app, **quiet, **secured))
    # Also before it runs: a signal must not be lost. The server raises it again once it has ended.
    signal.signal(signal.SIGTERM, server.handle_exit)
    with announced(chosen.data, **addresses):
        print(json.dumps(addresses), flush=True)
        server.run(sockets=[listening])
    return 0


def _secured(certificate: Path, key: Path | None) -> dict[str, Any]:
    """Return the server's options; raise for files that cannot be used, before the server prints its address."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise Stopped(f"--certificate {certificate} and --key {key} cannot be used: {error}") from None
    return {"ssl_certfile": certificate, "ssl_keyfile": key}
