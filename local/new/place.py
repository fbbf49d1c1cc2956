"""Where a new pipeline is made: the storage, the Studio and the settings of `run.py up`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import home
from local.azurite import azurite
from local.children import ROOT, NotStarted
from studio.publishing import Studio

FIRST_PORT = 10000


@dataclass(frozen=True)
class Place:
    """`container` is where data are dropped; `running` is whether `run.py up` runs now."""

    studio: Studio
    address: str
    pipelines: Path
    container: str
    running: bool

    def changing(self) -> AbstractContextManager[object]:
        """Return a context in which a running `up` loads no change: it sees all changes as one afterwards."""
        return home.changing()

    def add(self, settings: dict[str, str]) -> None:
        """Add the settings to those of the app, and have it read the pipelines file with the new entry."""
        values = home.load_settings() or {}
        home.save_settings({**values, **settings, "PIPELINES_FILE": str(self.pipelines)})


@contextmanager
def open_place() -> Iterator[Place]:
    """Give the place, whether `run.py up` runs or not. What does not exist yet is made, as `run.py up` makes it."""
    with ExitStack() as opened:
        settings = home.load_settings()
        if settings is None:
            with home.services(FIRST_PORT) as (_, _, made):
                settings = made
        if home.has_workspace(settings):
            raise NotStarted(
                f"{home.FOLDER.name}/ was made with --azureml, and `new` publishes in the local Studio; "
                "remove that folder first"
            )
        port = int(settings[home.PORT])
        running = home.is_running(port)
        if not running:
            opened.enter_context(azurite(home.FOLDER / "azurite", (port, port + 1, port + 2)))
        studio = Studio(home.FOLDER / "studio", settings["AzureWebJobsStorage"])
        container = settings["TRAINING_DATA_PATH"].split("/")[0]
        yield Place(studio, home.service_address(settings), _own_pipelines(settings), container, running)


def _own_pipelines(settings: dict[str, str]) -> Path:
    """Return the person's pipelines file: it begins as a copy of the sample, which is not written to."""
    sample, own = ROOT / "pipelines.sample.yaml", ROOT / "pipelines.yaml"
    used = home.pipelines_file(settings)
    if used != sample:
        return used
    if not own.exists():
        own.write_text(sample.read_text("utf-8"), "utf-8")
    return own
