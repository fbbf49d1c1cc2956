"""Builds each part of the app that is otherwise built at its first use, so that its errors show here."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from shared.app import App
from shared.base.errors import RetrainingError
from shared.cli.doctor.finding import Finding, Health, ok, remedy, wrong


def look(app: App, known: Iterable[Finding]) -> Iterator[Finding]:
    """Build every lazy part; `known` is what was found before, which is not repeated."""
    bad = [each for each in known if each.health is not Health.OK]
    seen = {each.found for each in bad}
    settings = [each.what.removeprefix("setting ") for each in bad if each.what.startswith("setting ")]
    lazy = [
        (owner, name)
        for owner in (app, app.flows)
        for name, member in vars(type(owner)).items()
        if isinstance(member, cached_property)
    ]
    found = [finding for owner, name in lazy if (finding := _build(owner, name))]
    for finding in found:
        if finding.found not in seen and not any(name in finding.found.split() for name in settings):
            seen.add(finding.found)
            yield finding
    if not found:
        yield ok("parts of the app", "all can be built")


def _build(owner: object, name: str) -> Finding | None:
    what = f"part {name.strip('_')} of the app"
    try:
        getattr(owner, name)
    except RetrainingError as error:
        return wrong(what, str(error), remedy(error))
    except Exception as error:
        # Its text may hold a setting's value, so only its kind is shown.
        return wrong(what, f"cannot be built ({type(error).__name__})", "see the function app's log, or its settings")
    return None
