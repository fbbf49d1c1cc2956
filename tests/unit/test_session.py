"""The session that all calls to services and to the storage are made with."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.adapters import session as session_module
from shared.adapters.session import DirectSession, _AsGiven
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


@contextmanager
def echoing(connections: list[object] | None = None) -> Iterator[str]:
    """Serve answers that have what was sent; give the address. Each connection is added to the `connections`."""

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            if connections is not None:
                connections.append(self.connection)

        def do_POST(self) -> None:
            if self.headers["Transfer-Encoding"] == "chunked":
                content = b""
                while size := int(self.rfile.readline(), 16):
                    content += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                content = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            serving.join()


SEGMENTS = st.text("aZ0-_~", max_size=2) | st.sampled_from(
    [".", "..", ".a", "a.csv", "%2F", "%2f", "%41", "%2E", "%", "$web", "\u00e9", "a b", "#", ";", "\\"]
)
QUERIES = st.lists(st.sampled_from(["a=1", "&", "=", "%2B", "%3a", "%2D", "?", "+", "'", "\u00e9"]), max_size=3)
PARAMETERS = st.none() | st.dictionaries(st.text("a-b", min_size=1), st.text("a0 -&=+/\u00e9~*%"), max_size=3)


@settings(max_examples=500)
@example(path=[""], query=["a=1", "%2D"], parameters=None)
@given(st.lists(SEGMENTS, max_size=4), st.none() | QUERIES, PARAMETERS)
def test_an_address_is_called_as_requests_writes_it(
    path: list[str], query: list[str] | None, parameters: dict[str, str] | None
) -> None:
    address = "/".join(["http://a.blob.core.windows.net", *path]) + ("" if query is None else f"?{''.join(query)}")
    assert prepared(_AsGiven(), address, parameters) == prepared(requests.PreparedRequest(), address, parameters)


@pytest.mark.parametrize(
    "host",
    ["HOST", "host:80", "host:080", "host:60000", "host:70000", "-a", "a.", "*.a", "m\u00fcnchen.de", "b@a", "[::1]"],
)
@pytest.mark.parametrize("path", ["", "/", "/a", "?a=1"])
def test_a_host_is_called_as_requests_writes_it(host: str, path: str) -> None:
    address = f"https://{host}{path}"
    assert prepared(_AsGiven(), address, None) == prepared(requests.PreparedRequest(), address, None)


def prepared(call: requests.PreparedRequest, address: str, parameters: dict[str, str] | None) -> str:
    """Return the address as it is called, or why it is not."""
    try:
        call.prepare_url(address, parameters)
    except requests.RequestException as error:
        return repr(error)
    return str(call.url)


@pytest.mark.parametrize(
    ("body", "writes"),
    [(None, 1), (b"small", 1), ([b"some", b"pieces"], 1), (b"x" * (1 << 20), 2), ([b"x" * 40_000] * 4, 3)],
)
def test_a_small_body_goes_out_with_its_headers_and_all_of_a_large_one(
    body: bytes | list[bytes] | None, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = http.client.HTTPConnection.send

    def counting(connection: http.client.HTTPConnection, data: bytes) -> None:
        sent.append(len(data))
        send(connection, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", counting)
    with echoing() as address, DirectSession() as session:
        for _ in range(2):  # the second one on the connection of the first
            sent.clear()
            given_body = body if body is None or isinstance(body, bytes) else iter(body)
            answer = session.request("POST", address, data=given_body)
            assert answer.content == (body if isinstance(body, bytes) else b"".join(body or []))
            assert len(sent) == writes


def test_a_session_that_was_closed_connects_again() -> None:
    connections: list[object] = []
    with echoing(connections) as address:
        session = DirectSession()
        for number in (1, 2):
            for _ in range(2):
                assert session.request("POST", address, data=b"a").content == b"a"
            assert len(connections) == number
            session.close()


def test_more_hosts_are_called_than_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_HOSTS", 2)
    with echoing() as one, echoing() as two, echoing() as three, DirectSession() as session:
        for address in (one, two, three) * 3:
            assert session.request("POST", address, data=b"a").content == b"a"
