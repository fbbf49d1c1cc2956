"""Clients that other people wrote and that are installed as they are published, against a Studio that answers HTTPS."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.azurite import ACCOUNT, KEY
from local.azurite import azurite as run_azurite
from local.children import ROOT
from local.datasets import as_csv
from local.workplace import PIPELINE, Workplace
from local.workplace import workplace as run_workplace
from studio.experiments.loading import load_experiment
from tests.support.certificates import self_signed
from tests.support.waiting import PATIENCE

FOLDER = ROOT / "tests" / "clients"
NODE = os.environ.get("RELEARN_NODE")
AZMLCLIENT = os.environ.get("RELEARN_AZMLCLIENT_PYTHON")
SET_UP = "python3 run.py test sets the clients up"

pytestmark = [
    pytest.mark.skipif("RELEARN_CLIENTS" not in os.environ, reason=SET_UP),
]


@dataclass(frozen=True)
class Secured:
    """A workplace whose Studio answers HTTPS, and the certificate to trust."""

    place: Workplace
    certificate: Path

    def run(self, command: list[str], given: str | None = None) -> Any:
        """Return the JSON that a client's program prints."""
        trusting = {"NODE_EXTRA_CA_CERTS": str(self.certificate), "REQUESTS_CA_BUNDLE": str(self.certificate)}
        done = subprocess.run(
            command,
            cwd=FOLDER,
            env={**os.environ, **trusting},
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def predictions(self) -> list[Any]:
        """Return what the New web service answers for the first rows."""
        settings, table = self.place.settings, {"ColumnNames": self.place.header, "Values": self.place.rows[:5]}
        answer = requests.post(
            f"{settings['BREAST_CANCER_NEW_SCORING_ADDRESS']}/execute",
            params={"api-version": "2.0"},
            json={"Inputs": {"input1": table}},
            headers={"Authorization": f"Bearer {settings['BREAST_CANCER_NEW_KEY']}"},
            verify=str(self.certificate),
            timeout=PATIENCE,
        )
        return list(answer.json()["Results"]["output1"]["value"]["Values"])


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    certificate, key = self_signed(folder)
    flags = ("--certificate", str(certificate), "--key", str(key))
    with run_azurite() as azurite, run_workplace(azurite, folder, *flags) as place:
        yield Secured(place, certificate)


def test_microsofts_client_exports_a_definition_changes_its_model_and_puts_it_back(secured: Secured) -> None:
    studio, settings = secured.place.studio.studio, secured.place.settings
    retrained = studio.run(load_experiment(PIPELINE), as_csv(secured.place.header, secured.place.rows))
    location = retrained.scorers[0].resource.location
    uri = f"{location.base_location}{location.relative_location}"
    subscription, _, group = settings["BREAST_CANCER_NEW_ID"].split("/")[2:5]
    before = secured.predictions()
    given = {
        "address": settings["ARM_ADDRESS"],
        "token": settings["ARM_TOKEN"],
        "subscription": subscription,
        "group": group,
        "name": secured.place.new.name,
        "uri": uri,
    }
    done = secured.run([str(NODE), "arm_webservices.mjs", json.dumps(given)])

    assert secured.predictions() != before
    assert uri not in _uris(done["exported"])
    for answered in (done["replaced"], done["patched"], done["read"]):
        assert _uris(answered) == [uri]
        assert answered["properties"]["provisioningState"] == "Succeeded"
    assert (done["read"]["properties"]["description"], done["read"]["tags"]) == ("retrained", {"by": "a client"})
    assert done["refused"]
    assert done["missing"][0] == 404
    assert done["keys"] == {"primary": secured.place.new.key, "secondary": done["keys"]["secondary"]}
    assert done["inGroup"] == done["inSubscription"] == [secured.place.new.name]


@pytest.mark.skipif(AZMLCLIENT is None, reason=os.environ.get("RELEARN_AZMLCLIENT_MISSING", SET_UP))
def test_azmlclient_scores_in_both_forms_and_runs_batch_jobs(secured: Secured) -> None:
    place, storage = secured.place, secured.place.azurite.connection_string
    path = place.drop("azmlclient.csv", as_csv(place.header, place.rows))
    model = {"ConnectionString": storage, "RelativeLocation": "outputs/azmlclient.ilearner"}
    given = {
        "columns": place.header,
        "rows": place.rows[:3],
        "scoring": _address(place.settings, "CLASSIC_SCORING", "CLASSIC"),
        "training": _address(place.settings, "TRAINING", "TRAINING"),
        "input": {"ConnectionString": storage, "RelativeLocation": f"{place.container}/{path}"},
        "output": model,
        "storage": {
            "address": place.azurite.blob_address.removesuffix(f"/{ACCOUNT}"),
            "account": ACCOUNT,
            "key": KEY,
            "container": place.container,
        },
    }
    done = secured.run([str(AZMLCLIENT), "azmlclient_driver.py"], json.dumps(given))

    assert done["table"]["columns"] == [*place.header, "Scored Labels", "Scored Probabilities"]
    assert [len(row) for row in done["table"]["data"]] == [len(place.header) + 2] * 3
    scored = [row[-2:] for row in done["table"]["data"]]
    swagger = done["swagger"]
    assert [
        [row[swagger["columns"].index(name)] for name in ("Scored Labels", "Scored Probabilities")]
        for row in swagger["data"]
    ] == scored
    assert done["refused"] == ["BadArgument", "InvalidInputNames"]
    assert set(done["batch"]) == {"output1", "output2", "output3"}
    assert done["batch"]["output1"]["RelativeLocation"] == model["RelativeLocation"]
    assert place.blobs.get_blob_client("outputs", "azmlclient.ilearner").exists()
    scores = [[str(cell) for cell in row[-2:]] for row in done["bes"]["data"]]
    assert [[label, float(probability)] for label, probability in scores] == [
        [label, pytest.approx(float(probability), rel=1e-12)] for label, probability in scored
    ]


def test_a_generated_client_scores_rows_and_runs_a_batch_job(secured: Secured, tmp_path: Path) -> None:
    place = secured.place
    scoring = _address(place.settings, "NEW_SCORING", "NEW")
    training = _address(place.settings, "TRAINING", "TRAINING")
    rows = [dict(zip(place.header, row, strict=True)) for row in place.rows[:2]]
    scored = _generated(secured, tmp_path / "scoring", scoring, {"score": {"Inputs": {"input1": rows}}})
    assert set(scored["Results"]["output1"][0]) == {*place.header, "Scored Labels", "Scored Probabilities"}
    wrong = _generated(secured, tmp_path / "scoring", scoring, {"score": {"Inputs": {"input2": rows}}})
    assert (wrong["status"], wrong["body"]["error"]["code"]) == (400, "BadArgument")

    path = place.drop("generated.csv", as_csv(place.header, place.rows))
    data = {"ConnectionString": place.azurite.connection_string, "RelativeLocation": f"{place.container}/{path}"}
    done = _generated(secured, tmp_path / "training", training, {"batch": {"Inputs": {"input1": data}}})
    assert done["StatusCode"] == "Finished"
    assert set(done["Results"]) == {"output1", "output2", "output3"}


def _generated(secured: Secured, folder: Path, service: Mapping[str, str], given: Mapping[str, Any]) -> Any:
    """Have a client generated of the service's swagger.json, unless it is there, and call the service with it."""
    if not folder.exists():
        document = folder / "swagger.json"
        folder.mkdir()
        answer = requests.get(f"{service['address']}/swagger.json", verify=str(secured.certificate), timeout=PATIENCE)
        document.write_text(answer.text)
        modules = FOLDER / "node_modules"
        generate = [str(modules / "openapi-typescript-codegen" / "bin" / "index.js"), "--client", "fetch"]
        translate = [str(modules / "sucrase" / "bin" / "sucrase"), "--transforms", "typescript,imports", "--quiet"]
        for command in (
            [*generate, "--input", str(document), "--output", str(folder / "typescript")],
            [*translate, str(folder / "typescript"), "--out-dir", str(folder / "client")],
        ):
            done = subprocess.run([str(NODE), *command], capture_output=True, text=True, timeout=PATIENCE)
            assert done.returncode == 0, done.stdout + done.stderr
    asked = {**service, **given, "client": str(folder / "client")}
    return secured.run([str(NODE), "generated.mjs", json.dumps(asked)])


def _address(settings: Mapping[str, str], address: str, key: str) -> dict[str, str]:
    return {"address": settings[f"BREAST_CANCER_{address}_ADDRESS"], "key": settings[f"BREAST_CANCER_{key}_KEY"]}


def _uris(definition: Mapping[str, Any]) -> list[str]:
    assets = definition["properties"]["assets"].values()
    return [asset["locationInfo"]["uri"] for asset in assets if asset["type"] == "Resource"]
