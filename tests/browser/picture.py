"""`python -m tests.browser.picture FILE`: the picture of the local workspace's page in the documents."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from local.azurite import azurite
from tests.browser.conftest import launched, watching
from tests.support.aml_page import published

_SIZE = {"width": 960, "height": 600}


def main(file: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        azurite() as storage,
        published(storage, Path(folder)) as aml,
        sync_playwright() as playwright,
        launched(playwright) as windows,
        watching(windows, aml.address, ignore_https_errors=True, viewport=_SIZE, color_scheme="light") as watched,
    ):
        watched.open().screenshot(path=file, full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
