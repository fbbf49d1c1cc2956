"""The session that all calls to services and to the storage are made with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread

import pytest
import requests

from shared.adapters.session import DirectSession
from shared.adapters.storage.accounts import _NamingTransport

AT_ONCE = 20  #: calls; `requests` alone keeps 10 connections


@pytest.mark.parametrize("session", [DirectSession, lambda: _NamingTransport("X").session])
def test_as_many_connections_are_kept_as_several_functions_use_at_once(
    session: Callable[[], requests.Session], caplog: pytest.LogCaptureFixture
) -> None:
    all_are_here = Barrier(AT_ONCE, timeout=60)

    class Server(ThreadingHTTPServer):
        request_queue_size = AT_ONCE

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            all_are_here.wait()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with (
        Server(("127.0.0.1", 0), Answering) as server,
        session() as calling,
        caplog.at_level(logging.WARNING),
    ):
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        callers = [Thread(target=lambda: calling.request("GET", address).close()) for _ in range(AT_ONCE)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        calling.close()  # a handler ends with its connection
        server.shutdown()
        serving.join()
    assert caplog.messages == []
