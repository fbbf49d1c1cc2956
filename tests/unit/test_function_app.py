"""What the host meets when it imports the app, and the rules that hold between its files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from local.children import ROOT

HEAVY = ("azure.storage", "azure.identity", "azure.core", "requests", "msgspec", "yaml", "numpy", "sklearn", "rich")


def imported(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = (
        "import socket, sys, json\n"
        "def refused(*a, **k): raise RuntimeError('a call to the network')\n"
        "socket.socket.connect = refused\n"
        "import function_app\n"
        "print(json.dumps([f.get_function_name() for f in function_app.app.get_functions()]))\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "HOME")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**kept, **settings}, capture_output=True, text=True, check=False
    )


def test_importing_it_needs_no_setting_no_network_and_no_client_library() -> None:
    done = imported({})
    assert done.returncode == 0, done.stderr
    functions, modules = (json.loads(line) for line in done.stdout.splitlines())
    assert functions == [
        "start_retraining",
        "take_up_data",
        "sweep_data",
        "watch_poisoned_blobs",
        "poll_jobs",
        "promote_model",
        "watch_poisoned_promotions",
    ]
    assert [name for name in modules if name.startswith(HEAVY)] == []


def test_a_blob_source_that_does_not_exist_is_named_with_those_that_do() -> None:
    done = imported({"TRAINING_DATA_SOURCE": "telepathy"})
    assert done.returncode != 0
    assert "Setting TRAINING_DATA_SOURCE is 'telepathy'; write one of: polling, eventgrid" in done.stderr


def test_every_setting_that_a_trigger_names_is_in_the_sample() -> None:
    app = (ROOT / "function_app.py").read_text("utf-8")
    named = set(re.findall(r"%(\w+)%", app)) | set(re.findall(r'connection="(\w+)"', app))
    sample = json.loads((ROOT / "local.settings.sample.json").read_text("utf-8"))["Values"]
    assert named
    assert named <= sample.keys()


def test_every_value_of_host_json_is_explained() -> None:
    explained = (ROOT / "docs" / "host-json.md").read_text("utf-8")

    def leaves(value: object, key: str = "") -> list[str]:
        if isinstance(value, dict):
            return [leaf for name, each in value.items() for leaf in leaves(each, name)]
        return [key]

    values = json.loads((ROOT / "host.json").read_text("utf-8"))
    host_defaults = {"version", "id", "default", "Function", "isEnabled"}
    named = [("extensionBundle" if key == "version" else key) for key in leaves(values) if key not in host_defaults]
    assert [key for key in named if key not in explained] == []
