"""`python -m studio serve`: run the local Studio on this machine."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m studio", description="The local Studio.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer Studio's protocols on this machine until it is stopped")
    serve.add_argument("--data", type=Path, required=True, help="folder of this Studio's records and models")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve.add_argument("--storage", default="STUDIO_STORAGE", help="name of the setting with its connection string")
    serve.add_argument("--workers", type=int, default=2, help="BES jobs that run at once")
    serve.add_argument("--queued-for", type=float, default=0.0, help="least seconds a BES job waits")
    serve.add_argument("--slow", type=float, default=0.0, help="least seconds a BES job takes")
    serve.add_argument("--switch-after", type=float, default=0.0, help="seconds until an updated model answers")
    return _serve(parser.parse_args())


def _serve(chosen: argparse.Namespace) -> int:
    storage = os.environ.get(chosen.storage)
    if not storage:
        print(f"studio: the setting {chosen.storage} with a storage connection string is missing", file=sys.stderr)
        return 2
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", chosen.port))
        listening.listen(1024)  # whoever reads the address below may call at once, and waits
    except OSError:
        print(f"studio: port {chosen.port} is taken; stop what uses it, or give another --port", file=sys.stderr)
        return 2

    import uvicorn

    from studio.api.context import Context
    from studio.jobs import JobRunner
    from studio.publishing import Studio
    from studio.server import build

    studio = Studio(chosen.data, storage)
    jobs = JobRunner(studio.records, chosen.data, storage, chosen.workers, chosen.slow, chosen.queued_for)
    server = build(Context(studio, jobs, chosen.switch_after))
    print(json.dumps({"address": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(server, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
