"""The page's samples, run as a person would who copied them: they need nothing but what they say."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from local.datasets import as_csv
from local.workplace import Workplace
from studio.learning.ilearner import unpack
from studio.learning.tables import number
from studio.page.samples import CONTAINER, KEY, STORAGE
from studio.state.records import Reference
from tests.browser.conftest import endpoint_of
from tests.support.waiting import PATIENCE

LANGUAGES = ["Python", "C#", "R", "curl"]
RUNNABLE = ["Python", "curl"]  # C# and R have no runtime in these tests


def samples(place: Workplace, path: str, part: str, *, with_keys: bool = False) -> dict[str, str]:
    """Return the programs of a part of a page by their language."""
    address, origin = place.studio.address + path, {"Origin": place.studio.address}
    page = requests.request("POST" if with_keys else "GET", address, headers=origin, timeout=PATIENCE).text
    section = re.search(rf'<section id="{part}">(.*?)</section>', page, re.DOTALL)
    assert section, page
    found = re.findall(r'data-language="(.*?)"><code>(.*?)</code>', section[1], re.DOTALL)
    return {language: html.unescape(text) for language, text in found}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    def ran(language: str, program: str, **settings: str) -> str:
        if language == "curl" and not (shutil.which("curl") and shutil.which("bash")):
            pytest.skip("this machine lacks curl or bash; install both")
        file = tmp_path / "sample"
        file.write_text(program, "utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STUDIO_")}
        command = [sys.executable, "-I", str(file)] if language == "Python" else ["bash", str(file)]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**kept, **settings},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ran


def key_of(place: Workplace, path: str) -> str:
    return endpoint_of(place, path).primary_key


def prediction(place: Workplace, row: dict[str, str]) -> dict[str, str]:
    """Return what the model itself says of the row."""
    model = place.studio.studio.models.load(place.first.scorers[0].resource.sha256)
    scored = model.predict({column: [cell] for column, cell in row.items()})
    return {"Scored Labels": scored.labels[0], "Scored Probabilities": number(scored.probabilities[0, -1])}


@pytest.mark.parametrize("generation", ["classic", "new"])
@pytest.mark.parametrize("language", RUNNABLE)
def test_a_request_response_sample_prints_the_endpoints_prediction(
    place: Workplace, paths: dict[str, str], run: Callable[..., str], language: str, generation: str
) -> None:
    program = samples(place, paths[generation], "score")[language]
    answer = json.loads(run(language, program, **{KEY: key_of(place, paths[generation])}))
    [row] = answer["Results"]["output1"]
    given = {column: row[column] for column in place.header[:-1]}
    assert row == {**given, **prediction(place, given)}
    assert all(float(cell) > 0 for cell in given.values())  # a typical row, not one of zeros


@pytest.mark.parametrize("language", RUNNABLE)
def test_once_the_keys_are_shown_a_sample_needs_no_setting(
    place: Workplace, paths: dict[str, str], run: Callable[..., str], language: str
) -> None:
    program = samples(place, paths["classic"], "score", with_keys=True)[language]
    assert "Scored Labels" in run(language, program)


@pytest.mark.parametrize("language", RUNNABLE)
def test_a_training_sample_leaves_a_model_and_an_update_sample_makes_it_live(
    place: Workplace, paths: dict[str, str], run: Callable[..., str], tmp_path: Path, language: str
) -> None:
    drop(place, place.rows[: 300 if language == "Python" else 320])
    settings = {KEY: key_of(place, paths["training"]), STORAGE: place.azurite.connection_string}
    run(language, samples(place, paths["training"], "jobs")[language], **settings)
    model = (tmp_path / "output1results.ilearner").read_bytes()
    assert unpack(model).manifest.label.name == place.header[-1]
    assert (tmp_path / "output2results.csv").read_text().startswith("Accuracy,Precision,Recall,F-Score,AUC")
    assert "Scored Labels" in (tmp_path / "output3results.csv").read_text()

    studio = place.studio.studio
    own = Reference(base_location=studio.blobs.address, relative_location=f"{CONTAINER}/output1results.ilearner")
    result = studio.blobs.result(own)
    parts = {
        "BASE_LOCATION": str(result.base_location),
        "RELATIVE_LOCATION": str(result.relative_location),
        "SAS_BLOB_TOKEN": str(result.sas_blob_token),
    }
    key = key_of(place, paths["customer"])
    run("curl", samples(place, paths["customer"], "update")["curl"], **{KEY: key, **parts})
    [live] = endpoint_of(place, paths["customer"]).scorers
    assert studio.models.read(live.resource.sha256) == model


@pytest.mark.parametrize("language", RUNNABLE)
def test_a_batch_sample_of_a_predictive_endpoint_scores_its_input(
    place: Workplace, paths: dict[str, str], run: Callable[..., str], tmp_path: Path, language: str
) -> None:
    drop(place, place.rows[:20])
    settings = {KEY: key_of(place, paths["new"]), STORAGE: place.azurite.connection_string}
    run(language, samples(place, paths["new"], "jobs")[language], **settings)
    lines = (tmp_path / "output1results.csv").read_text().splitlines()
    assert len(lines) == 21
    assert lines[0].endswith("Scored Labels,Scored Probabilities")


@pytest.mark.parametrize("language", RUNNABLE)
def test_a_sample_with_a_wrong_key_says_what_the_studio_said(
    place: Workplace, paths: dict[str, str], run: Callable[..., str], language: str
) -> None:
    with pytest.raises(AssertionError, match="401"):
        run(language, samples(place, paths["classic"], "score")[language], **{KEY: "wrong"})


@pytest.mark.parametrize(
    ("page", "part"), [("classic", "score"), ("new", "score"), ("new", "jobs"), ("training", "jobs")]
)
def test_all_languages_send_the_same_body_to_the_same_address(
    place: Workplace, paths: dict[str, str], page: str, part: str
) -> None:
    programs = samples(place, paths[page], part)
    assert list(programs) == LANGUAGES
    base = place.studio.address + place.studio.studio.published(endpoint_of(place, paths[page])).path
    address = f"{base}/jobs" if part == "jobs" else f"{base}/execute?api-version=2.0&format=swagger"
    bodies = [body_of(language, programs[language]) for language in LANGUAGES]
    assert bodies[0]["Inputs"].keys() == {"input1"}
    assert bodies == [bodies[0]] * 4
    for program in programs.values():
        assert address in program
        assert re.findall(r"http://[^\s\"']+", program) == [address]


def body_of(language: str, program: str) -> dict[str, Any]:
    """Return the JSON that a program has for a body, read as its language reads it."""
    if language == "C#":
        [text] = re.findall(r'Body = @"((?:[^"]|"")*)";', program)
        return dict(json.loads(text.replace('""', '"')))
    pattern = {"Python": r"BODY = (\{.*?^\})", "R": r'body <- r"\((.*?)\)"', "curl": r"'(\{.*?^\})'"}[language]
    [text] = re.findall(pattern, program, re.DOTALL | re.MULTILINE)
    return dict(json.loads(text.replace(f": {STORAGE.removeprefix('STUDIO_')},", f': "{STORAGE}",')))


def drop(place: Workplace, rows: list[list[str]]) -> None:
    container = place.blobs.get_container_client(CONTAINER)
    if not container.exists():
        container.create_container()
    container.upload_blob("input1.csv", as_csv(place.header, rows), overwrite=True)
