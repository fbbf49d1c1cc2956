"""Azurite finds a blob without a look at all others, so that its share of a measurement or test stays the same."""

from __future__ import annotations

import os
import shutil
import subprocess

from local.azurite import BY_NAME
from tests.support.waiting import PATIENCE

SCRIPT = """
const Loki = require(process.argv[1]);
const indices = ["accountName", "containerName", "name", "snapshot"];
const blobs = new Loki("blobs").addCollection("blobs", { indices });
let looks = 0;
for (let number = 0; number < 2000; number++) {
  const blob = { accountName: "one", name: `jobs/${number}.json`, snapshot: "" };
  blobs.insert(Object.defineProperty(blob, "containerName", { enumerable: true, get: () => (looks++, "retraining") }));
}
looks = 0;
const asked = { accountName: "one", containerName: "retraining", name: "jobs/1234.json", snapshot: "" };
const found = blobs.findOne(asked);
const none = blobs.findOne({ ...asked, containerName: "models" });
console.log(found.name, none, looks);
looks = 0;
blobs.findAndRemove({ name: "jobs/1234.json" });
console.log(blobs.count(), blobs.findOne(asked), looks);
"""


def test_azurite_looks_up_and_removes_a_blob_by_its_name() -> None:
    node = os.environ.get("RELEARN_NODE") or shutil.which("node") or "node"
    loki = BY_NAME.parent / "node_modules" / "lokijs"
    command = [node, "--require", str(BY_NAME), "-e", SCRIPT, str(loki)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    name, none, looks, left, removed, looks_of_removal = done.stdout.split()
    assert (name, none, left, removed) == ("jobs/1234.json", "null", "1999", "null")
    assert int(looks) <= 4
    assert int(looks_of_removal) <= 100  # two of each step of a binary search
