"""`serve`: answer Studio's protocols on this machine."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import threading
from typing import Any

from studio.cli.place import Stopped, add_data, open_new, told_as_running


def add(commands: Any) -> None:
    serve = commands.add_parser("serve", help="answer Studio's protocols on this machine until it is stopped")
    add_data(serve)
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve.add_argument("--processes", type=int, default=8, help="processes that BES jobs may have in all")
    serve.add_argument("--at-once", type=int, default=40, help="BES jobs of one endpoint that run at once")
    serve.add_argument("--queued-for", type=float, default=0.0, help="least seconds a BES job waits")
    serve.add_argument("--slow", type=float, default=0.0, help="least seconds a BES job takes")
    serve.add_argument("--control", action="store_true", help="take orders for faults, on a port of its own")
    serve.set_defaults(run=_serve)


def _serve(chosen: argparse.Namespace) -> int:
    try:
        listening = _listen(chosen.port)
    except OSError:
        raise Stopped(f"port {chosen.port} is taken; stop what uses it, or give another --port") from None
    studio = open_new(chosen.data)

    import uvicorn

    from studio.api.context import Context
    from studio.control import build_control
    from studio.faults import Faults
    from studio.jobs import JobRunner, Pace
    from studio.server import OPERATIONS, build

    def server(app: Any) -> uvicorn.Server:
        return uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5))

    faults = Faults(OPERATIONS)
    pace = Pace(chosen.processes, chosen.at_once, chosen.queued_for, chosen.slow)
    app = build(Context(studio, JobRunner(studio.records, chosen.data, studio.storage, faults, pace), faults))
    told = {"address": _address(listening)}
    if chosen.control:
        control = _listen(0)
        told["control"] = _address(control)
        answering = server(build_control(faults))
        threading.Thread(target=answering.run, args=([control],), name="control", daemon=True).start()
    # The server raises the signal again once it has ended; the addresses are still to be taken back then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with told_as_running(chosen.data, **told):
        print(json.dumps(told), flush=True)
        server(app).run(sockets=[listening])
    return 0


def _listen(port: int) -> socket.socket:
    # Without the protocol's number asyncio leaves Nagle's algorithm on, which delays every answer by 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(1024)  # whoever reads the address may call at once, and waits
    return listening


def _address(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"
