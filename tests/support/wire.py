"""A service that answers what a test wrote down for it: real HTTP, on a free port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.servers import serving


@dataclass
class Scripted:
    """`answers` are given in turn, the last one again and again: status, body and headers.

    A body is JSON, bytes, or a function that yields bytes, each of which is sent at once.
    """

    address: str
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        self.answers.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))


@contextmanager
def scripted_service() -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(size)
            service.asked.append((self.command, self.path, json.loads(sent) if sent else None))
            status, body, headers = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
            if not callable(body):
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                headers = {"Content-Length": str(len(content)), **headers}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                for piece in body() if callable(body) else (content,):
                    self.wfile.write(piece)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Scripted(f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield service
