"""The certificate authority of this workspace, made on its first start, and the server's certificate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

#: how the command `openssl` and the clients name the files
AUTHORITY, SERVER = "ca.pem", "server.pem"
_KEY = "-----BEGIN"


def new_authority() -> str:
    """Return a certificate authority: its certificate, then its key, in PEM."""
    import trustme

    made = trustme.CA(organization_name="Relearn, local Azure Machine Learning")
    return made.cert_pem.bytes().decode() + made.private_key_pem.bytes().decode()


def write_certificates(folder: Path, authority: str, names: Sequence[str]) -> tuple[Path, Path]:
    """Write the authority's certificate and a server's certificate for the names; return both files.

    Only the owner may read the second one, which has the server's key.
    """
    import trustme

    parts = [f"{_KEY}{part}" for part in authority.split(_KEY)[1:]]
    issuer = trustme.CA.from_pem(parts[0].encode(), parts[1].encode())
    leaf = issuer.issue_cert(*names)
    trusted = _write(folder / AUTHORITY, parts[0].encode())
    return trusted, _write(folder / SERVER, leaf.private_key_and_cert_chain_pem.bytes())


def _write(file: Path, content: bytes) -> Path:
    """Replace the file at once: another server may read it."""
    part = file.with_suffix(f".{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(content)
    part.replace(file)
    return file
