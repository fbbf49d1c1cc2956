"""Ids and keys, the key that a request carries, and how keys are compared."""

from __future__ import annotations

import base64
import hmac
import secrets
import uuid


def new_id() -> str:
    """Return 32 lower-case hex digits, as workspaces, services, endpoints and jobs have."""
    return uuid.uuid4().hex


def new_key() -> str:
    """Return 64 random bytes in base64: 88 characters."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


def carried(authorization: str | None) -> str:
    """Return the key of an Authorization header. Clients write `bearer`, `Bearer` and more than one space."""
    kind, _, key = (authorization or "").strip().partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


def is_one_of(given: str, *keys: str) -> bool:
    """Return whether a key is one of these, in a time that does not depend on how much of one was right."""
    return sum(hmac.compare_digest(given.encode(), key.encode()) for key in keys) > 0
