"""Why an installation cannot go on, in one line that says what to do."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

MB = 1_000_000
_FULL = re.compile(r"no space left|os error 28|errno 28|ENOSPC|disk quota exceeded", re.IGNORECASE)
_READ_ONLY = re.compile(
    r"read-only file system|os error 30|errno 30|EROFS|EACCES|permission denied|os error 13", re.IGNORECASE
)
_OTHER_HASH = re.compile(r"hash mismatch|do not match the hashes|EINTEGRITY", re.IGNORECASE)
_CERTIFICATE = re.compile(
    r"certificate[_ ]verify|invalid peer certificate|UnknownIssuer|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)",
    re.IGNORECASE,
)
_NO_NETWORK = re.compile(
    r"name resolution|name or service not known|dns error|getaddrinfo|ENOTFOUND|EAI_AGAIN|timed out|ETIMEDOUT"
    r"|connection ?refused|ECONNREFUSED|ECONNRESET|network is unreachable|ENETUNREACH|error sending request"
    r"|newconnectionerror|max retries exceeded|tunnel|proxyerror|cannot connect to proxy",
    re.IGNORECASE,
)
_NO_BUILD = re.compile(
    r"no wheels with a matching|no matching distribution|no wheels are (available|usable)", re.IGNORECASE
)
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


class Missing(Exception):
    """Something the machine lacks. The message is one line that says what to do."""


class Failed(Exception):
    """A program that installs ended with an error; `output` is what it printed."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output

    @property
    def final(self) -> bool:
        """Return whether another program would fail for the same reason."""
        return any(each.search(self.output) for each in (_FULL, _READ_ONLY, _OTHER_HASH))

    @property
    def no_network(self) -> bool:
        return bool(_NO_NETWORK.search(self.output))


def cause(what: str, output: str, folder: Path, megabytes: int) -> Missing:
    """Return why `what` was not installed into the folder, which takes so many megabytes."""
    if _FULL.search(output):
        return full(what, folder, megabytes)
    if _READ_ONLY.search(output):
        return read_only(folder)
    if _OTHER_HASH.search(output):
        return Missing(f"{what}: a download is not the file that was pinned (its hash differs); {_last(output)}")
    if _CERTIFICATE.search(output):
        return Missing(
            f"{what}: the certificate of the package index is not trusted; if a proxy replaces certificates, "
            "set SSL_CERT_FILE, PIP_CERT and NODE_EXTRA_CA_CERTS to its certificate"
        )
    if _NO_NETWORK.search(output):
        return Missing(f"{what}: the package index cannot be reached; {_network()}")
    if _NO_BUILD.search(output):
        return Missing(f"{what}: a package has no build for this Python and system; {_last(output)}")
    return Missing(f"{what} could not be installed: {_last(output)}")


def full(what: str, folder: Path, megabytes: int) -> Missing:
    free = shutil.disk_usage(folder).free // MB
    return Missing(f"{what}: the disk of {folder} is full: {megabytes} MB are needed and {free} MB are free")


def read_only(folder: Path) -> Missing:
    return Missing(f"{folder} cannot be written; copy the project to a folder that you may write, and start it there")


def _network() -> str:
    name = next((name for name in _PROXIES if os.environ.get(name)), None)
    if name:
        return f"is the proxy in {name} right and running?"
    return "is there a network? Behind a proxy, set HTTPS_PROXY"


def _last(output: str) -> str:
    """Return the last line that says something, without what stands in an address: that may be a secret."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|cause|because", line, re.IGNORECASE)] or lines
    return re.sub(r"(\w+://)[^\s/@]*@", r"\1", telling[-1])[-300:] if telling else "it gave no reason"
