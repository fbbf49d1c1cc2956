"""The bake of a promoted model: what each check adds, and when a rollback is asked for. No I/O."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import median

import msgspec

from shared.domain.champions import Watch
from shared.domain.services import BakeSettings

LATEST = 5  #: looks whose median latency counts, so that one slow answer does not
QUICK = 0.1  #: seconds; whatever answered faster before is compared with this
ASK_AGAIN = timedelta(minutes=2)  #: for a rollback whose message was lost or failed; then after twice that, and so on
SOON = timedelta(seconds=15)  #: after a look that failed, at most
BY = "the bake"  #: who asks for the rollback, as the history says
ASKS = 5  #: rollbacks that are asked for before the bake is given up: an hour


def after_look(
    watch: Watch, trouble: str, seconds: Mapping[str, float], former: Mapping[str, float] | None = None
) -> Watch:
    """Return the watch after one more check: with its error, or with the seconds that each target took.

    `former` is how long the former model took at the same time, where it is deployed still.
    """
    if trouble:
        return msgspec.structs.replace(watch, looks=watch.looks + 1, failed=watch.failed + 1, trouble=trouble)
    before = {**watch.seconds, **(former or {})}
    over = [taken / max(before[name], QUICK) for name, taken in seconds.items() if name in before]
    slow = (*watch.slow, max(over))[-LATEST:] if over else watch.slow
    return msgspec.structs.replace(watch, looks=watch.looks + 1, failed=0, trouble="", slow=slow)


def regression(watch: Watch, bake: BakeSettings) -> str | None:
    """Return the reason for a rollback, or None."""
    if watch.failed >= bake.failures:
        return f"{watch.failed} looks in a row failed, the last because {watch.trouble}"
    if len(watch.slow) == LATEST and median(watch.slow) > bake.slower:
        than = "the former model at the same time" if watch.former else "before"
        return f"it answers {median(watch.slow):.1f} times as slowly as {than}, at the median of {LATEST} looks"
    return None


def next_look(watch: Watch, now: datetime, seconds: float) -> datetime:
    """Return when to look next in a bake of so many seconds; soon after one that failed."""
    regular = timedelta(seconds=seconds / LATEST)
    return now + (min(SOON, regular) if watch.failed else regular)


def asking(watch: Watch, now: datetime) -> Watch:
    """Return the watch once a rollback is asked for."""
    return msgspec.structs.replace(watch, asked=watch.asked + 1, not_before=now + ASK_AGAIN * (1 << watch.asked))
