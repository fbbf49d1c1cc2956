"""A proxy that leads the service's real host names to this server. It leads nowhere else.

A program that has it as HTTPS_PROXY asks it for `CONNECT management.azure.com:443`, and then speaks TLS with this
server, whose certificate has these names.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Collection
from contextlib import suppress

from aml.identity.names import leads_here
from service.listening import address_of, listen

log = logging.getLogger("aml.proxy")

_HEAD = 16 << 10  #: bytes of a request to the proxy
_PART = 64 << 10
_PATIENCE = 30.0  #: seconds for the head to come


class Proxy:
    """Leads the names to the server on this machine's `target`: its address and port."""

    def __init__(self, names: Collection[str], target: tuple[str, int]) -> None:
        self._names, self._target = frozenset(name.lower() for name in names), target

    def run(self) -> str:
        """Run it in a thread that ends with the program; return its address."""
        listening = listen(0)
        threading.Thread(target=lambda: asyncio.run(self._serve(listening)), name="proxy", daemon=True).start()
        return address_of(listening, "http")

    async def _serve(self, listening: socket.socket) -> None:
        server = await asyncio.start_server(self._answer, sock=listening, limit=_HEAD)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            method, _, rest = head.partition(b" ")
            host = rest.partition(b" ")[0].decode("latin-1").rpartition(":")[0].lower()
            if method != b"CONNECT" or not leads_here(host, self._names):
                writer.write(b"HTTP/1.1 403 Not a name of this workspace\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                await self._lead(reader, writer)
        writer.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(*self._target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
        finally:
            outer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while part := await source.read(_PART):
        target.write(part)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
