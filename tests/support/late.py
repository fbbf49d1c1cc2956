"""A program that is too late: another program has taken each port that its arguments name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CODE = """#!{python}
import os, socket, sys
for name, port in zip(sys.argv, sys.argv[1:]):
    if name.lower().endswith("port") and port != "0":
        other = socket.create_server(("127.0.0.1", int(port)))
        other.set_inheritable(True)
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


def late(folder: Path, program: str) -> str:
    """Return a program that does what `program` does. On Windows it is the same: no script starts by its first line."""
    if os.name == "nt":
        return program
    file = folder / f"late-{Path(program).name}"
    file.write_text(_CODE.format(python=sys.executable, program=program))
    file.chmod(0o700)
    return str(file)
