"""The frame of the Studio's pages."""

from __future__ import annotations

from pathlib import Path

from service.page.frame import Frame
from studio.errors import StudioError
from studio.page import trying, views

FRAME = Frame(
    product="Studio",
    folder=Path(__file__).parent,
    place=views.HELP,
    error=StudioError,
    values={"help": views.HELP, "field": trying.field},
)
