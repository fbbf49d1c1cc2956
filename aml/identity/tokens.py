"""Tokens of the workspace's identity: JSON Web Tokens, signed with a secret of this workspace.

A client reads `aud` in them and does not check the signature. This server checks both.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Collection
from typing import Any

from aml.errors import ArmError, unauthorized
from aml.state.records import Identity

LIFETIME = 24 * 3600  #: seconds
_HEAD = {"alg": "HS256", "typ": "JWT"}
MANAGEMENT = frozenset({"https://management.azure.com", "https://management.core.windows.net"})
MACHINE_LEARNING = frozenset({"https://ml.azure.com", "https://ml.azure.local"})


def issue(identity: Identity, audience: str, seconds: int = LIFETIME) -> tuple[str, int]:
    """Return a token for the audience, and when it expires, in seconds since the epoch."""
    begun = int(time.time())
    content: dict[str, Any] = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{identity.tenant}/",
        "iat": begun,
        "nbf": begun,
        "exp": begun + seconds,
        "oid": identity.principal,
        "sub": identity.principal,
        "tid": identity.tenant,
    }
    signed = f"{_encoded(json.dumps(_HEAD).encode())}.{_encoded(json.dumps(content).encode())}"
    return f"{signed}.{_signature(identity, signed)}", int(content["exp"])


def check(identity: Identity, token: str, audiences: Collection[str]) -> dict[str, Any]:
    """Return the token's content; raise 401 unless this workspace gave it for one of the audiences."""
    if not token:
        raise ArmError(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
    signed, _, signature = token.rpartition(".")
    # The signature is compared in a time that does not depend on how much of it is right.
    if not hmac.compare_digest(_signature(identity, signed).encode(), signature.encode()):
        raise unauthorized("The access token is invalid: this workspace did not give it.")
    content: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
    if content["exp"] <= time.time():
        raise ArmError(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is in the past.")
    if _plain(content["aud"]) not in {_plain(each) for each in audiences}:
        raise unauthorized(f"The access token has been obtained for wrong audience or resource '{content['aud']}'.")
    return content


def _plain(audience: str) -> str:
    return audience.rstrip("/").lower()


def _signature(identity: Identity, signed: str) -> str:
    return _encoded(hmac.digest(identity.token_secret.encode(), signed.encode(), hashlib.sha256))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
