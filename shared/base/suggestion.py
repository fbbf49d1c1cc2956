"""Suggests the known name that a misspelt one means."""

import difflib
from collections.abc import Iterable, Sequence

_UNLIKE = 0.05  #: how much nearer than the second the nearest name has to be


def suggestion(name: str, known: Iterable[str], *, all_of: str = "there are", cutoff: float = 0.6) -> str:
    """Return the one known name that is like this one, else all known names behind `all_of`."""
    known = sorted(known)
    if same := differs_in_case(name, known):
        return f"{same!r} differs in case only"
    if near := nearest(name, known, cutoff):
        return f"did you mean {near!r}?"
    return f"{all_of} {', '.join(known)}" if known else "none exists"


def nearest(name: str, known: Sequence[str], cutoff: float = 0.6) -> str | None:
    """Return the one known name that is like this one, or None where none or several are."""
    near = difflib.get_close_matches(name, known, n=2, cutoff=cutoff)
    alone = len(near) == 1 or (near and _ratio(name, near[0]) - _ratio(name, near[1]) >= _UNLIKE)
    return near[0] if alone else None


def differs_in_case(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is the same but for upper and lower case."""
    return next((each for each in known if each.casefold() == name.casefold() and each != name), None)


def case_hint(name: str, known: Iterable[str]) -> str:
    """Return a clause for a message that lists the known names itself, or nothing."""
    same = differs_in_case(name, known)
    return f"{same!r} differs in case only; " if same else ""


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()
