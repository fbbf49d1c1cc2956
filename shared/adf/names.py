"""Names of Data Factory in the forms that names have here."""

from __future__ import annotations

import re
from collections.abc import Container

LONGEST = 63  #: characters of a pipeline's name


def words(name: str) -> str:
    """Return `trainingEndpoint` as `training-Endpoint`: the words are kept apart when the case is lost."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)


def slug(name: str) -> str:
    """Return lower-case letters, digits and dashes, as a pipeline's name has them; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", words(name).lower()).strip("-")[:LONGEST].rstrip("-")


def unique(name: str, taken: Container[str]) -> str:
    """Return the name, or with a number when it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name[: LONGEST - len(str(number)) - 1]}-{number}"
    return found
