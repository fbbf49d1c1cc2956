"""`run.py addresses`: where what `up` runs takes data, messages and calls. Keys stand in the settings file alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from local import home
from local.commands import parser_of
from shared.base.errors import BadConfiguration
from shared.base.settings import Settings
from shared.configuration.loading import load_pipelines

WIDTH = 30  #: of the names


def main() -> int:
    parser_of("addresses").parse_args()
    console = Console(highlight=False)
    try:
        settings = home.load_settings()
        if settings is None:
            print("run.py: nothing was started here yet: python3 run.py up", file=sys.stderr)
            return 3
        show(console, [*places(settings), *web_services(settings)])
    except BadConfiguration as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    if not home.is_running(int(settings[home.PORT])):
        console.print("None of it runs now; start it: python3 run.py up")
    return 0


def show(console: Console, lines: Iterable[tuple[str, str]]) -> None:
    """Print a line each; what has no room beside its name on a terminal has its own line."""
    for name, address in lines:
        beside = not console.is_terminal or WIDTH + len(address) <= console.width
        console.print(f"[cyan]{name:<{WIDTH}}[/]{'' if beside else chr(10)}{escape(address)}", soft_wrap=True)


def places(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield where data and messages are taken. Raises `BadConfiguration` if the pipelines file has a mistake."""
    pipelines = load_pipelines(Settings(settings).pipelines_file, Settings(settings))
    container = settings["TRAINING_DATA_PATH"].split("/")[0]
    for pipeline in pipelines.alone.values():
        yield "drop data at", f"{container}/{pipeline.blobs}"
    for fleet in pipelines.fleets.values():
        yield "drop data at", f"{container}/{fleet.template.blobs}"
    yield "send messages to", f"queue {settings['PROMOTIONS_QUEUE']} (JSON, as it is or in base64)"
    parts = dict(part.split("=", 1) for part in settings["TRAINING_DATA"].split(";") if "=" in part)
    yield "blob storage", parts.get("BlobEndpoint", "see the settings")
    yield "local workspace" if home.has_workspace(settings) else "local Studio", home.service_address(settings)
    yield "pipelines", os.path.relpath(settings["PIPELINES_FILE"])
    yield "settings, keys", os.path.relpath(home.SETTINGS)


def web_services(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(settings.items()):
        if name.endswith("_ADDRESS") and urlsplit(value).path.strip("/"):
            yield name.removesuffix("_ADDRESS").replace("_", " ").lower(), value


if __name__ == "__main__":
    sys.exit(main())
