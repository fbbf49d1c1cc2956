"""The local workspace's page in a real browser, and its samples as they are, over TLS as a user has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape

import pytest
import requests
from playwright.sync_api import expect

from local.azurite import Azurite
from tests.browser.conftest import (
    DARK,
    LIGHT,
    NO_SCRIPTS,
    PHONE,
    Watched,
    Windows,
    check_for_every_reader,
    check_what_it_asked,
    watching,
)
from tests.support.aml_page import ANSWER, AUTHS, BATCH, FAILED, STEPS, TRAINED, published
from tests.support.running_aml import RunningAml
from tests.support.waiting import PATIENCE

#: the phone's page is light, and has every rule of the wide one but its widths
READERS = pytest.mark.parametrize("opened", [DARK, {**PHONE, **LIGHT}], ids=["dark", "light phone"], indirect=True)
PATHS = {
    "front": "/",
    "jobs": "/jobs",
    "job": f"/jobs/{TRAINED}",
    "failed": f"/jobs/{FAILED}",
    "model": "/models/income",
    "endpoint": "/endpoints/income",
    "deployment": "/endpoints/income/deployments/blue",
    "batch": f"/batch-endpoints/{BATCH}",
}


@pytest.fixture(scope="module")
def aml(one_azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAml]:
    with published(one_azurite, tmp_path_factory.mktemp("aml")) as aml:
        yield aml


@pytest.fixture
def opened(windows: Windows, aml: RunningAml, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page in a browser, for which the certificate of the workspace is not one that it knows."""
    with watching(windows, aml.address, ignore_https_errors=True, **getattr(request, "param", {})) as page:
        yield page


@READERS
def test_every_page_stays_on_its_host_fits_its_window_and_is_accessible(opened: Watched) -> None:
    for name, path in PATHS.items():
        page = opened.open(path)
        if name == "endpoint":
            page.get_by_role("button", name="Show the keys").click()
            expect(page.locator(".key")).to_have_count(2)
        check_for_every_reader(opened, name)
    check_what_it_asked(opened)


@pytest.mark.parametrize("opened", [NO_SCRIPTS], indirect=True)
def test_everything_is_reached_from_the_front_without_any_script(opened: Watched, aml: RunningAml) -> None:
    page = opened.open()
    expect(page.get_by_role("list", name="Traffic of income")).to_contain_text("blue 90 % green 10 %")
    page.get_by_role("link", name="income", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("income Succeeded")
    page.get_by_role("button", name="Show the keys").click()
    keys = aml.call("POST", "onlineEndpoints/income/listKeys").json()
    expect(page.locator(".key")).to_have_text([keys["primaryKey"], keys["secondaryKey"]])
    page.get_by_role("link", name="Hide the keys").click()
    assert keys["primaryKey"] not in page.content()
    page.get_by_role("link", name="blue", exact=True).click()
    expect(page.get_by_label("Log of InferenceServer")).to_contain_text("The model is loaded")
    page.get_by_role("link", name="income:1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("income")
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("link", name=FAILED).click()
    expect(page.get_by_role("alert")).to_contain_text("status code 3")
    expect(page.get_by_label("Log", exact=True)).to_contain_text("before")
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("link", name=TRAINED).click()
    expect(page.get_by_role("img", name=re.compile(f"loss over {STEPS} values"))).to_be_visible()
    expect(page.locator("tr", has_text="loss").locator("td")).to_have_text(["0.025", str(STEPS - 1)])


def test_another_site_in_the_same_browser_gets_no_key(opened: Watched, aml: RunningAml) -> None:
    page, target = opened.page, f"{aml.address}/endpoints/income"
    page.route(
        "https://other.example/",
        lambda route: route.fulfill(
            body=f'<form method="post" action="{target}"><button>win</button></form>', content_type="text/html"
        ),
    )
    page.goto("https://other.example/")
    page.get_by_role("button").click()
    expect(page.get_by_role("heading")).to_have_text("Refused")
    assert aml.call("POST", "onlineEndpoints/income/listKeys").json()["primaryKey"] not in page.content()


def samples_of(aml: RunningAml, path: str) -> dict[str, str]:
    """Return the samples of a page by their languages."""
    text = requests.get(f"{aml.address}{path}", verify=aml.settings["REQUESTS_CA_BUNDLE"], timeout=PATIENCE).text
    found = re.findall(r'data-language="([^"]*)"><code>(.*?)</code>', text, re.DOTALL)
    return {unescape(language): unescape(program) for language, program in found}


@pytest.mark.parametrize("language", ["Python, REST", "curl"])
@pytest.mark.parametrize(
    "path", [*(f"/endpoints/{name}" for name in AUTHS), f"/jobs/{TRAINED}", f"/batch-endpoints/{BATCH}"]
)
def test_a_sample_runs_as_it_is(aml: RunningAml, path: str, language: str) -> None:
    program = samples_of(aml, path)[language]
    settings = {**os.environ, **aml.settings}
    if "AML_ENDPOINT_KEY" in program:
        settings["AML_ENDPOINT_KEY"] = aml.call("POST", "onlineEndpoints/income/listKeys").json()["primaryKey"]
    command = [sys.executable, "-c", program] if language.startswith("Python") else ["bash", "-c", program]
    run = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    if path.startswith("/jobs"):
        assert "Completed" in run.stdout
    elif path.startswith("/batch-endpoints"):
        assert json.loads(run.stdout)["name"].startswith("batchjob-")
    else:
        assert json.loads(run.stdout) == ANSWER


@pytest.mark.parametrize("language", ["Python, REST", "curl"])
def test_a_sample_without_the_key_says_what_to_set(aml: RunningAml, language: str) -> None:
    program = samples_of(aml, "/endpoints/income")[language]
    command = [sys.executable, "-c", program] if language.startswith("Python") else ["bash", "-c", program]
    settings = {**os.environ, **aml.settings}
    run = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode
    assert "AML_ENDPOINT_KEY" in run.stderr and "key of the endpoint" in run.stderr
    assert len(run.stderr.splitlines()) == 1
