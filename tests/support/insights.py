"""Application Insights as its exporters see it: takes telemetry by HTTPS on this machine, and keeps it."""

from __future__ import annotations

import gzip
import json
import ssl
from contextlib import AbstractContextManager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.servers import Handler, serving


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


class _Handler(Handler):
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
        self.answer(answer)


def receiver(certificate: tuple[Path, Path]) -> AbstractContextManager[Receiver]:
    return serving(Receiver(certificate))
