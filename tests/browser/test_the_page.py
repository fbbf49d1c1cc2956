"""The Studio's page in a real browser: what it lists, what it keeps to itself, and that anyone can read it."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import msgspec
import pytest
import requests
from playwright.sync_api import Page, expect

from local.datasets import as_csv
from local.workplace import Workplace
from studio.experiments.loading import load_experiment
from tests.browser.conftest import (
    DARK,
    LIGHT,
    MANY,
    NO_SCRIPTS,
    PHONE,
    Watched,
    check_for_every_reader,
    check_what_it_asked,
    endpoint_of,
)
from tests.support.waiting import PATIENCE
from tests.support.wire import scripted_service

A_KEY = re.compile(r"[A-Za-z0-9+/]{86}==")
COPYING = {"permissions": ["clipboard-read", "clipboard-write"]}
READERS = pytest.mark.parametrize("watched", [LIGHT, DARK, PHONE], ids=["light", "dark", "phone"], indirect=True)


def show_the_keys(page: Page) -> None:
    page.get_by_role("button", name="Show the keys").click()
    expect(page.locator(".key")).to_have_count(2)


def test_the_front_lists_each_workspace_and_its_web_services_with_their_endpoints(
    watched: Watched, place: Workplace
) -> None:
    page = watched.open()
    expect(page.get_by_role("heading", level=2)).to_have_text(["relearn", "New web services"])
    expect(page.locator("article .title")).to_have_text(
        [
            "Breast cancer Training Classic",
            "Breast cancer [Predictive Exp.] Predictive Classic",
            "Breast cancer [Predictive Exp.] Predictive Classic",
            "breastcancer Predictive New",
        ]
    )
    expect(page.get_by_role("link", name=re.compile("endpoint"))).to_have_text(
        ["1 endpoint", "2 endpoints", f"{MANY:,} endpoints"]
    )
    retrained = page.locator("li", has=page.get_by_role("link", name="retrained", exact=True))
    [model] = place.first.scorers
    expect(retrained.locator(".model")).to_contain_text(model.resource.name)
    expect(retrained.locator(".hash")).to_have_text(model.resource.sha256[:12])
    expect(retrained.locator(".source")).to_have_text(str(model.resource.location.relative_location))
    expect(retrained.locator("code.copy").first).to_be_hidden()
    retrained.locator("summary").click()
    scoring = place.settings["BREAST_CANCER_CLASSIC_SCORING_ADDRESS"]
    expect(retrained.locator("code.copy")).to_have_text(
        [
            f"{scoring}/execute?api-version=2.0&details=true",
            f"{scoring}/jobs?api-version=2.0",
            place.settings["BREAST_CANCER_CLASSIC_ADDRESS"],
            f"{scoring}/swagger.json",
        ]
    )
    arm_id = page.locator("code", has_text=place.settings["BREAST_CANCER_NEW_ID"])
    assert str(arm_id.text_content()).startswith(place.settings["ARM_ADDRESS"])


def test_a_service_of_a_thousand_endpoints_is_read_a_page_at_a_time(watched: Watched, paths: dict[str, str]) -> None:
    page = watched.open(paths["service"])
    names = page.locator(".endpoints .name")
    expect(names).to_have_count(50)
    expect(names.first).to_have_text("default")
    page.get_by_role("link", name="Next").first.click()
    expect(names.first).to_have_text("customer50")
    page.get_by_label("Name contains").fill("customer99")
    page.get_by_role("button", name="Find").click()
    expect(names).to_have_text(["customer99", *(f"customer{number}" for number in range(990, MANY))])
    page.get_by_label("Name contains").fill('"><b>')
    page.get_by_role("button", name="Find").click()
    expect(page.locator("main")).to_contain_text("No endpoint's name contains “\"><b>”.")
    for number, first in (("0", "default"), ("20", "customer950"), ("999", "customer950"), ("x", "default")):
        watched.open(f"{paths['service']}?page={number}")
        expect(names.first).to_have_text(first)


@pytest.mark.parametrize("watched", [NO_SCRIPTS], indirect=True)
def test_the_portals_help_addresses_lead_to_the_part_without_any_script(
    watched: Watched, paths: dict[str, str]
) -> None:
    for part, heading in (("score", "Request-response"), ("jobs", "Batch execution"), ("update", "Update")):
        page = watched.open(f"{paths['classic']}/{part}")
        assert urlsplit(page.url).fragment == part
        expect(page.locator(f"#{part} h2")).to_have_text(heading)
        expect(page.locator(f"#{part} pre").first).to_be_visible()
    page.locator("#score").get_by_text("R", exact=True).click()
    expect(page.locator('#score pre[data-language="R"]')).to_be_visible()
    expect(page.locator('#score pre[data-language="Python"]')).to_be_hidden()
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)  # it could do nothing
    show_the_keys(page)
    for wrong in (f"{paths['classic']}/keys", f"{paths['classic'][:-1]}x", f"{paths['service']}x"):
        answer = page.request.get(watched.address + wrong)
        assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_an_update_shows_at_once_with_its_time_and_where_it_came_from(
    watched: Watched, place: Workplace, paths: dict[str, str]
) -> None:
    page = watched.open(paths["customer"])
    deployed = str(page.locator(".model time").get_attribute("datetime"))
    retrained = place.studio.studio.run(load_experiment("breast-cancer"), as_csv(place.header, place.rows[:200]))
    [resource] = [scorer.resource for scorer in retrained.scorers]
    location = place.studio.studio.blobs.result(resource.location)
    body = {"Resources": [{"Name": place.classic.models[0], "Location": msgspec.to_builtins(location)}]}
    endpoint = endpoint_of(place, paths["customer"])
    address = place.studio.address + place.studio.studio.published(endpoint).management
    headers = {"Authorization": f"Bearer {endpoint.primary_key}"}
    assert requests.patch(address, json=body, headers=headers, timeout=PATIENCE).status_code == 200

    page = watched.open(paths["customer"])
    expect(page.locator(".model .hash")).to_have_text(resource.sha256[:12])
    expect(page.locator(".model .source")).to_have_text(str(resource.location.relative_location))
    page.get_by_text("Former models").click()
    [former] = [scorer.resource for scorer in place.first.scorers]
    expect(page.locator(".former li")).to_contain_text(former.sha256[:12])
    expect(page.locator(".former .source")).to_have_text(str(former.location.relative_location))
    assert str(page.locator(".model time").get_attribute("datetime")) > deployed
    assert "sig=" not in page.content()


@pytest.mark.parametrize("watched", [NO_SCRIPTS], indirect=True)
def test_a_row_of_the_form_is_scored_as_the_service_scores_it(
    watched: Watched, place: Workplace, paths: dict[str, str]
) -> None:
    for name in ("classic", "new"):
        page = watched.open(paths[name])
        endpoint = endpoint_of(place, paths[name])
        page.get_by_text("Row of input1").click()
        [first, *_] = page.locator(".fields input").all()
        row = {
            json.loads(str(field.get_attribute("name")))[1]: field.input_value()
            for field in page.locator(".fields input").all()
        }
        column = json.loads(str(first.get_attribute("name")))[1]
        for value, status in (("17.5", 200), ("", 200), ("many", 400)):
            first.fill(value)
            with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
                page.get_by_role("button", name="Score the row").click()
            said = requests.post(
                f"{place.studio.address}{place.studio.studio.published(endpoint).path}/execute",
                json={"Inputs": {"input1": [{**row, column: value}]}, "GlobalParameters": {}},
                params={"api-version": "2.0", "format": "swagger"},
                headers={"Authorization": f"Bearer {endpoint.primary_key}"},
                timeout=PATIENCE,
            )
            assert said.status_code == answered.value.status == status
            expect(first).to_have_value(value)
            if status == 200:
                [scored] = said.json()["Results"]["output1"]
                for title in ("Scored Labels", "Scored Probabilities"):
                    expect(page.locator(".tried tr", has_text=title).locator("td")).to_have_text(scored[title])
            else:
                assert json.loads(str(page.locator(".tried pre").text_content())) == said.json()
                expect(page.locator("[aria-invalid=true]")).to_have_attribute("name", json.dumps(["input1", column]))
            assert A_KEY.findall(page.content()) == []
            assert urlsplit(page.url).fragment == "try"


@pytest.mark.parametrize("watched", [NO_SCRIPTS], indirect=True)
def test_a_fault_is_ordered_strikes_and_is_removed_on_the_page(
    watched: Watched, place: Workplace, paths: dict[str, str]
) -> None:
    page = watched.open(paths["faults"])
    expect(page.locator("main")).to_contain_text("Nothing is on order.")
    page.locator("#kind").select_option("unavailable")
    page.locator("#endpoint").fill("retrained")
    page.locator("#operation").select_option("rrs.execute")
    page.locator("#count").fill("none")
    page.get_by_role("button", name="Order the fault").click()
    expect(page.get_by_role("alert")).to_have_text("A fault's count cannot be 'none'; it can be: a whole number.")
    expect(page.locator("#endpoint")).to_have_value("retrained")
    page.locator("#count").fill("1")
    page.get_by_role("button", name="Order the fault").click()
    order = page.locator(".orders li p")
    expect(order).to_have_text("unavailable operation rrs.execute, endpoint retrained, 1 left, struck 0")

    expect(watched.open(paths["classic"]).locator(".later")).to_have_text("1 fault on order can strike this endpoint.")
    expect(watched.open(paths["customer"]).locator(".later")).to_have_count(0)
    scoring = f"{place.settings['BREAST_CANCER_CLASSIC_SCORING_ADDRESS']}/execute?api-version=2.0"
    assert [requests.post(scoring, timeout=PATIENCE).status_code for _ in range(2)] == [503, 401]

    page = watched.open(paths["faults"])
    expect(order).to_have_text("unavailable operation rrs.execute, endpoint retrained, 0 left, struck 1")
    page.get_by_role("button", name=re.compile("Remove unavailable")).click()
    expect(page.locator("main")).to_contain_text("Nothing is on order.")
    assert requests.get(f"{place.studio.control}/faults", timeout=PATIENCE).json() == []


@pytest.mark.parametrize("watched", [COPYING], indirect=True)
def test_addresses_samples_and_shown_keys_are_copied_whole(
    watched: Watched, place: Workplace, paths: dict[str, str]
) -> None:
    page = watched.open(paths["classic"])
    expect(page.get_by_role("button", name="Copy the primary key")).to_have_count(0)
    show_the_keys(page)
    endpoint = endpoint_of(place, paths["classic"])
    sample = page.locator('#score pre[data-language="Python"]').text_content()
    for name, text in (
        ("Copy the Update address", place.settings["BREAST_CANCER_CLASSIC_ADDRESS"]),
        ("Copy the Python sample", sample),
        ("Copy the secondary key", endpoint.secondary_key),
    ):
        page.get_by_role("button", name=name).first.click()
        expect(page.get_by_role("status")).to_have_text(f"The {name.removeprefix('Copy the ')} is copied.")
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_keys_are_in_no_page_before_they_are_asked_for_and_kept_by_none(
    watched: Watched, place: Workplace, paths: dict[str, str]
) -> None:
    for path in paths.values():
        assert A_KEY.findall(watched.open(path).content()) == []

    page = watched.open(paths["classic"])
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        show_the_keys(page)
    assert answered.value.headers["cache-control"] == "no-store"
    endpoint = endpoint_of(place, paths["classic"])
    expect(page.locator(".key")).to_have_text([endpoint.primary_key, endpoint.secondary_key])
    assert set(A_KEY.findall(page.content())) == {endpoint.primary_key, endpoint.secondary_key}
    for sample in page.locator("pre").all_text_contents():
        assert endpoint.primary_key in sample
        assert endpoint.secondary_key not in sample and "STUDIO_API_KEY" not in sample
    page.get_by_role("link", name="Hide the keys").click()
    expect(page.locator(".key")).to_have_count(0)
    assert A_KEY.findall(page.content()) == []


def test_another_site_in_the_same_browser_gets_nothing(
    watched: Watched, place: Workplace, paths: dict[str, str]
) -> None:
    target = place.studio.address + paths["classic"]
    with scripted_service() as other:
        form = f'<form method="post" action="{target}"><button>win a prize</button></form><iframe src="{target}">'
        other.answer(200, form.encode(), Content_Type="text/html")
        page = watched.page
        page.goto(other.address)
        page.wait_for_load_state("networkidle")
        assert page.frames[1].url.startswith("chrome-error:")
        page.get_by_role("button").click()
        expect(page.get_by_role("heading")).to_have_text("Refused")
    assert A_KEY.findall(page.content()) == []


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Host": "attacker.example"}),
        ("GET", {"Host": "127.0.0.1.attacker.example:80"}),
        ("POST", {}),
        ("POST", {"Origin": "https://attacker.example"}),
        ("POST", {"Origin": "null"}),
        ("POST", {"Sec-Fetch-Site": "cross-site"}),
        ("POST", {"Origin": "https://attacker.example", "Sec-Fetch-Site": "same-origin"}),
        ("POST", {"Host": "attacker.example", "Origin": "http://attacker.example", "Sec-Fetch-Site": "same-origin"}),
    ],
    ids=str,
)
def test_a_request_that_is_not_the_pages_own_is_refused(
    place: Workplace, paths: dict[str, str], method: str, headers: dict[str, str]
) -> None:
    posted = (f"{paths['classic']}/try", paths["faults"], f"{paths['faults']}/lift") if method == "POST" else ()
    for path in (paths["classic"], paths["faults"], *posted):
        answer = requests.request(method, place.studio.address + path, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 403
        assert A_KEY.findall(answer.text) == []
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@READERS
def test_every_page_stays_on_its_host_fits_its_window_and_is_accessible(
    watched: Watched, paths: dict[str, str]
) -> None:
    for name, path in paths.items():
        page = watched.open(path)
        if name == "classic":
            show_the_keys(page)
        for summary in page.locator(".endpoints summary, .columns summary").all()[:3]:
            summary.click()
        check_for_every_reader(watched, name)
    check_what_it_asked(watched)


@pytest.mark.parametrize(("watched", "dark"), [(LIGHT, False), (DARK, True)], indirect=["watched"])
def test_the_page_is_as_dark_or_light_as_the_browser_is_set(watched: Watched, dark: bool) -> None:
    page = watched.open()
    text, ground = (
        [int(part) for part in re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{which}"))]
        for which in ("color", "backgroundColor")
    )
    assert (sum(text) > sum(ground)) is dark
