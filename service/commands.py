"""How a command ends without having done what it was for. Each message is one line."""

from __future__ import annotations


class Failed(Exception):
    """What the command asked for was refused; the message says why."""


class Stopped(Exception):
    """The command cannot start; the message says what to do."""
