"""The trigger loop as a child process, over the app's own settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from local.children import ROOT, Child, python_child

#: On one machine a person waits for each step; in Azure a poll that finds nothing costs money.
QUICK = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.5"}


@contextmanager
def triggers(
    settings: Mapping[str, str], heard: Callable[[str], None] | None = None, scan_every: float = 1.0
) -> Iterator[Child]:
    """Run function_app's triggers until the context ends; `heard` gets each line of their log."""
    command = ["local.host", "--app", str(ROOT), "--scan-every", str(scan_every)]
    with python_child(command, {**QUICK, **settings}, heard) as child:
        yield child
