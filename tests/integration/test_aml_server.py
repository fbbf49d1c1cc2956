"""The local Azure Machine Learning workspace as a program: TLS, restarts, and the variables for a client."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import requests

from service.listening import listen
from tests.support.aml import MODEL, STORAGE
from tests.support.running_aml import command, running_aml
from tests.support.waiting import PATIENCE


def test_a_client_that_trusts_the_authority_is_answered_and_every_other_refuses(tmp_path: Path) -> None:
    with running_aml(tmp_path / "aml", STORAGE) as here:
        assert here.call("GET", "").json()["name"] == "local"
        discovery, trusted = f"{here.address}/discovery", here.settings["REQUESTS_CA_BUNDLE"]
        claimed = {"X-Forwarded-Proto": "http", "Origin": here.address}  # a caller does not choose the scheme
        assert requests.get(discovery, headers=claimed, verify=trusted, timeout=PATIENCE).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(discovery, timeout=PATIENCE)
        printed = command(tmp_path / "aml", "env", "--mlflow").stdout
        script = f"{printed}\nprintf %s $IDENTITY_HEADER"
        shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert shell.stdout == here.settings["IDENTITY_HEADER"]
        mlflow = dict(re.findall(r"export MLFLOW_TRACKING_(\w+)=(.*)", printed))
        assert mlflow["SERVER_CERT_PATH"] == trusted
        experiment = f"{mlflow['URI']}/api/2.0/mlflow/experiments/get?experiment_id=0"
        headers = {"Authorization": f"Bearer {mlflow['TOKEN']}"}
        assert requests.get(experiment, headers=headers, verify=trusted, timeout=PATIENCE).status_code == 200
        shown = command(tmp_path / "aml", "env", "--shell", "powershell").stdout
        assert f"$env:ARM_CLOUD_METADATA_URL = '{here.address}/metadata/endpoints?api-version=2019-05-01'" in shown
    gone = command(tmp_path / "aml", "env")
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "no workspace runs over" in gone.stderr


def test_a_killed_server_keeps_what_it_answered_and_its_tokens_open_the_next_one(tmp_path: Path) -> None:
    with running_aml(tmp_path / "aml", STORAGE) as here:
        assert here.call("PUT", "models/income/versions/1", {"properties": MODEL}).status_code == 201
        header = here.settings["IDENTITY_HEADER"]
        here.child.process.kill()
        here.child.process.wait()
        assert command(tmp_path / "aml", "env").returncode == 2  # although its address is still written down
    with running_aml(tmp_path / "aml", STORAGE, "--address", "127.0.0.2") as again:
        assert again.address.startswith("https://127.0.0.2:")
        assert again.call("GET", "models/income/versions/1").json()["properties"]["modelUri"] == MODEL["modelUri"]
        assert again.settings["IDENTITY_HEADER"] == header


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with listen(0) as taken:
        port = str(taken.getsockname()[1])
        for flags, why in ((("--address", "0.0.0.0"), "is not a loopback address"), (("--port", port), "is taken")):
            refused = command(tmp_path / "aml", "serve", *flags)
            assert refused.returncode == 2
            assert why in refused.stderr and len(refused.stderr.splitlines()) == 1
