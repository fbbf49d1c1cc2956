"""Records and messages are read by several threads of one process, from its first moment on."""

from __future__ import annotations

import subprocess
import sys

from local.children import ROOT

FIRST_READS = """
import sys, threading
import msgspec
from shared.base.decoding import from_json

sys.setswitchinterval(1e-6)
go = threading.Barrier(16)

def read(content, kind):
    go.wait()
    from_json(content, kind)

for _ in range(40):
    inner = msgspec.defstruct("Inner", [("number", "int | None", None), ("texts", "dict[str, str]", {})])
    kind = msgspec.defstruct("Outer", [("inner", inner | None, None), ("text", "str | None", None)])
    threads = [threading.Thread(target=read, args=(msgspec.json.encode(kind(inner())), kind)) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_threads_that_read_a_type_for_the_first_time_at_once_do_not_crash_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_READS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
