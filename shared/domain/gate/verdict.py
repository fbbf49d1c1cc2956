"""What the gate decided, kept with the numbers it saw."""

import hashlib
from enum import Enum

import msgspec


class Outcome(Enum):
    """Of one rule, or of all of them."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"  #: the difference is within the noise of the rows it was measured on


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one condition found, on all rows or on those of one slice, with the numbers it saw.

    `interval` is for `candidate - bound`, each of its ends at the gate's confidence, where rows give the noise.
    """

    rule: str
    outcome: Outcome
    text: str
    slice: str | None = None  #: such as "sex = Female"
    candidate: float | None = None
    champion: float | None = None
    bound: float | None = None
    interval: tuple[float, float] | None = None
    counts: bool = True  #: not of an `or` that holds by another condition, nor of a slice too small to be judged


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's decision. `champion` is the SHA-256 of the model it compared with, where it did."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    champion: str | None = None
    same_rows: int = 0  #: held-out rows on which both models were judged; 0: by numbers from different rows

    @property
    def accepted(self) -> bool:
        return self.outcome is Outcome.HOLDS

    @property
    def reason(self) -> str:
        """The findings that decided: all of an accepted model, else those that do not hold."""
        texts = [f.text for f in self.findings if self.accepted or (f.counts and f.outcome is not Outcome.HOLDS)]
        return "; ".join(texts)

    def seen_with(self, model_sha256: str) -> str:
        """Return a short digest of the model and of all that is shown of it, to bind an approval to both."""
        return hashlib.sha256(model_sha256.encode() + msgspec.json.encode(self)).hexdigest()[:16]
