"""Stands before the real package, by PYTHONPATH, in programs that must trust the certificate of a test."""

from __future__ import annotations

import os
from pathlib import Path


def where() -> str:
    return os.environ["TRUSTED_CERTIFICATE"]


def contents() -> str:
    return Path(where()).read_text("ascii")
