"""The rules of the gate, as they are written and read.

    rule      = [ "for each" COLUMN ":" ] any
    any       = all { "or" all }
    all       = one { "and" one }
    one       = "(" any ")" | METRIC ( ">=" | ">" | "<=" | "<" ) bound
    bound     = NUMBER | "champion" [ ( "+" | "-" | "*" ) NUMBER ]

A rule `for each` column must hold for the rows of each of its values. The champion is the model that is live. A
column's name may stand in quotes, and must where it has a colon in it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from shared.base.suggestion import suggestion
from shared.domain.evaluation import FROM_ROWS, METRICS, metric_name

if TYPE_CHECKING:
    from shared.domain.gate.metrics import Floats

Number = TypeVar("Number", float, "Floats")

COMPARE: dict[str, Callable[[Any, Any], Any]] = {  #: of numbers, or of arrays of them
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
LONGEST = 2000  #: characters of a rule
DEEPEST = 20  #: parentheses within each other
_EACH = re.compile(r"""\s*for\s+each\s+(?:"([^"]+)"|'([^']+)'|([^:"']*[^:"'\s]))\s*:(.*)""", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<comparison>[<>]=?)"
    r"|(?P<word>[^\W\d]\w*(?:-[^\W\d]\w*)*)"
    r"|(?P<sign>\S)"
)
_EXAMPLES = "write for example 'AUC >= 0.85', 'AUC >= champion - 0.005' or 'for each sex: AUC >= champion - 0.02'"


@dataclass(frozen=True)
class Condition:
    """One comparison. `factor * champion + margin` is the bound when it compares with the champion."""

    text: str
    metric: str
    comparison: str
    champion: bool
    factor: float
    margin: float

    def bound(self, champion: Number) -> Number:
        """Return the bound for the champion's metric: a number for a number, an array for an array."""
        return self.factor * champion + self.margin

    @property
    def from_rows(self) -> bool:
        """Whether the metric can be computed from scored rows; only the training service knows some of them."""
        return self.metric in FROM_ROWS


@dataclass(frozen=True)
class Group:
    """Conditions of which all must hold, or any."""

    need: Literal["all", "any"]
    parts: tuple[Condition | Group, ...]


class Rule:
    """What must hold of all rows, or of the rows of each value of the column `each`. Its `text` is as in the file."""

    def __init__(self, text: str, must: Condition | Group, each: str | None = None) -> None:
        self.text, self.must, self.each = text, must, each

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(_conditions(self.must))

    @property
    def needs_rows(self) -> bool:
        """Whether it is judged on scored rows, where there are any."""
        return self.each is not None or any(one.champion and one.from_rows for one in self.conditions)


def parse_rule(text: str) -> Rule:
    """Return the rule, or raise ValueError saying what is wrong and what would be right."""
    shown = " ".join(text.split())
    if len(text) > LONGEST:
        raise ValueError(f"{shown[:40]!r}... is longer than {LONGEST} characters; {_EXAMPLES}")
    each = _EACH.fullmatch(text)
    if not each and re.match(r"\s*for\s+each\b", text, re.IGNORECASE):
        raise ValueError(f"{shown!r} is not a rule: 'for each' wants a column and a colon; {_EXAMPLES}")
    column = each and (each[1] or each[2] or each[3])
    must = _Parser(shown, each[4] if each else text).read()
    return Rule(text=shown, must=must, each=column)


def _conditions(part: Condition | Group) -> Iterator[Condition]:
    if isinstance(part, Condition):
        yield part
    else:
        for inner in part.parts:
            yield from _conditions(inner)


class _Parser:
    """Reads `any` of the grammar above, from left to right."""

    def __init__(self, shown: str, text: str) -> None:
        self._shown, self._text = shown, text
        self._tokens = list(_TOKEN.finditer(text))
        self._next = self._depth = 0

    def read(self) -> Condition | Group:
        found = self._any()
        if self._next < len(self._tokens):
            raise self._wrong("'and', 'or' or the end")
        return found

    def _any(self) -> Condition | Group:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Group("any", tuple(parts))

    def _all(self) -> Condition | Group:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Group("all", tuple(parts))

    def _one(self) -> Condition | Group:
        if not self._take("("):
            return self._condition()
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"{self._shown!r} has more than {DEEPEST} parentheses within each other; {_EXAMPLES}")
        found = self._any()
        if not self._take(")"):
            raise self._wrong("')'")
        self._depth -= 1
        return found

    def _condition(self) -> Condition:
        begin = self._next
        while self._kind() == "word" and self._word() not in ("and", "or"):
            self._next += 1
        name = self._between(begin)
        comparison = self._word()
        if not name or self._kind() != "comparison":
            raise self._wrong("a comparison (>=, >, <= or <)" if name else "a metric")
        self._next += 1
        champion = self._take("champion")
        factor, margin = (1.0, 0.0) if champion else (0.0, 0.0)
        if not champion:
            margin = self._number("a number or 'champion'")
        elif self._take("*"):
            factor = self._number("a number")
        elif self._word() in ("+", "-"):
            margin = self._number("a number")
        return Condition(self._between(begin), _metric(name), comparison, champion, factor, margin)

    def _number(self, wanted: str) -> float:
        sign = 1.0
        while self._word() in ("+", "-"):
            sign = -sign if self._word() == "-" else sign
            self._next += 1
        if self._kind() != "number":
            raise self._wrong(wanted)
        self._next += 1
        return sign * float(self._tokens[self._next - 1][0])

    def _take(self, word: str) -> bool:
        taken = self._word() == word
        self._next += taken
        return taken

    def _word(self) -> str:
        return self._tokens[self._next][0].casefold() if self._next < len(self._tokens) else ""

    def _kind(self) -> str | None:
        return self._tokens[self._next].lastgroup if self._next < len(self._tokens) else None

    def _between(self, begin: int) -> str:
        """Return the text from that token up to the next one."""
        if begin == self._next:
            return ""
        text = self._text[self._tokens[begin].start() : self._tokens[self._next - 1].end()]
        return " ".join(text.split())

    def _wrong(self, wanted: str) -> ValueError:
        found = repr(self._tokens[self._next][0]) if self._next < len(self._tokens) else "the end"
        before = f" behind {self._tokens[self._next - 1][0]!r}" if 0 < self._next <= len(self._tokens) else ""
        return ValueError(f"{self._shown!r} is not a rule: {wanted} was expected{before}, not {found}; {_EXAMPLES}")


def _metric(name: str) -> str:
    metric = metric_name(name)
    if metric is None:
        known = [known for names in METRICS.values() for known in names]
        hint = suggestion(name, known, all_of="known metrics:", cutoff=0.4)
        raise ValueError(f"{name!r} is not a metric of an evaluation table; {hint}")
    return metric
