"""A Studio with every kind of web service, and Chromium to look at its page with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from local.azurite import azurite as run_azurite
from local.workplace import Workplace
from local.workplace import workplace as run_workplace
from studio.page.faults import PLACE as FAULTS
from studio.page.views import endpoint_place, service_place
from studio.state.records import Endpoint, Service, WebService
from tests.support.waiting import PATIENCE

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: Root has no sandbox; the rest keeps the browser from calling home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MANY = 1_000  #: endpoints of one service

#: how a browser may be set
LIGHT = {"color_scheme": "light"}
DARK = {"color_scheme": "dark"}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
NO_SCRIPTS = {"java_script_enabled": False}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """The breast cancer experiment as a training, a Classic and a New web service, and a Classic one of 1,000."""
    with (
        run_azurite() as storage,
        run_workplace(storage, tmp_path_factory.mktemp("page"), "--control", apart="") as running,
    ):
        running.studio.studio.deploy_classic(running.first, [f"customer{number}" for number in range(1, MANY)])
        yield running


@dataclass
class Windows:
    """The windows of a browser, one for each way to set it: a window takes ten times as long to open as a tab."""

    browser: Browser
    opened: dict[str, BrowserContext] = field(default_factory=dict)

    @contextmanager
    def tab(self, color_scheme: Literal["dark", "light"] = "light", **options: Any) -> Iterator[Page]:
        window = self._window(options)
        page = window.new_page()
        page.emulate_media(color_scheme=color_scheme)
        try:
            yield page
        finally:
            page.close()
            window.clear_cookies()

    def _window(self, options: dict[str, Any]) -> BrowserContext:
        name = json.dumps(options, sort_keys=True)
        if name not in self.opened:
            self.opened[name] = self.browser.new_context(**options)
            self.opened[name].new_page()  # stays open, and the window with it
        return self.opened[name]


@pytest.fixture(scope="session")
def windows() -> Iterator[Windows]:
    if _program() is None:
        pytest.skip("this machine has no Chromium; install it (Debian: apt install chromium)")
    with sync_playwright() as playwright, launched(playwright) as running:
        yield running


@contextmanager
def launched(playwright: Playwright) -> Iterator[Windows]:
    flags = FLAGS if os.name == "posix" and os.geteuid() == 0 else FLAGS[1:]
    running = playwright.chromium.launch(executable_path=_program(), args=flags)
    yield Windows(running)
    running.close()


def _program() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@dataclass
class Watched:
    """A page in a browser; `asked` are its requests, `said` what its console printed."""

    page: Page
    address: str
    asked: list[str]
    said: list[str]

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.address + path)
        return self.page


@contextmanager
def watching(windows: Windows, address: str, **options: Any) -> Iterator[Watched]:
    """Give a page in the browser; the options are how the browser is set."""
    asked: list[str] = []
    said: list[str] = []
    with windows.tab(**options) as page:
        page.on("request", lambda sent: asked.append(sent.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield Watched(page, address, asked, said)


@pytest.fixture
def watched(windows: Windows, place: Workplace, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page of the Studio; the parameter of a test, if it has one, is how the browser is set."""
    with watching(windows, place.studio.address, **getattr(request, "param", {})) as page:
        yield page


def check_for_every_reader(watched: Watched, name: str) -> None:
    """Check that the page which is open fits its window and is accessible."""
    page = watched.page
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert (name, wide) == (name, 0)
    violations = Axe().run(page).response["violations"]
    assert (name, [_shown(violation) for violation in violations]) == (name, [])


def check_what_it_asked(watched: Watched) -> None:
    """Check that every request stayed on the page's host, and that the browser has no complaint."""
    assert watched.said == []
    hosts = {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in watched.asked}
    assert hosts == {watched.address}


def _shown(violation: dict[str, Any]) -> str:
    return f"{violation['id']}: {[node['html'] for node in violation['nodes'][:3]]}"


@pytest.fixture
def paths(place: Workplace) -> dict[str, str]:
    """The path of one page of each kind; `customer` is of an endpoint whose model tests replace."""
    studio = place.studio.studio
    training, classic, many = studio.records.all(Service)
    [new] = studio.records.all(WebService)
    return {
        "front": "/",
        "faults": FAULTS,
        "service": service_place(many),
        "training": endpoint_place(studio.default_endpoint(training), training),
        "classic": help_path(place, classic, place.classic.name),
        "customer": help_path(place, many, "customer7"),
        "new": endpoint_place(studio.records.get(Endpoint, new.endpoint), new),
    }


def help_path(place: Workplace, service: Service, name: str) -> str:
    """Return the path of an endpoint's page, as its management gives it."""
    address = f"{place.studio.address}/workspaces/{service.parent}/webservices/{service.id}/endpoints/{name}"
    headers = {"Authorization": f"Bearer {place.studio.studio.workspace.primary_token}"}
    shown = requests.get(address, headers=headers, timeout=PATIENCE).json()
    return str(shown["HelpLocation"]).removeprefix(place.studio.address)


def endpoint_of(place: Workplace, path: str) -> Endpoint:
    """Return the endpoint as it is now that a page is of."""
    return place.studio.studio.records.get(Endpoint, path.rpartition("/")[2])
