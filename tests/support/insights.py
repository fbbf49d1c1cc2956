"""Application Insights as its exporters see it: takes telemetry by HTTPS on this machine, and keeps it."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Receiver(ThreadingHTTPServer):
    """`items` has what came, in the form of the ingestion endpoint; `tokens` the authorization of each delivery."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.items: list[dict[str, Any]] = []
        self.tokens: list[str] = []

    @property
    def connection(self) -> str:
        address = f"https://127.0.0.1:{self.server_port}/"
        key = "00000000-0000-0000-0000-000000000004"
        return f"InstrumentationKey={key};IngestionEndpoint={address};LiveEndpoint={address}"

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [each["data"]["baseData"] for each in [*self.items] if each["data"]["baseType"] == kind]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer: dict[str, Any] = {}
        if self.path.endswith("/track"):
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            items = json.loads(body)
            self.server.tokens.append(self.headers.get("Authorization", ""))
            self.server.items += items
            answer = {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver(certificate: tuple[Path, Path]) -> Iterator[Receiver]:
    server = Receiver(certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
