"""How the calls go over to a new model: which steps, which shares, and whether somebody else gave others. No I/O."""

from collections.abc import Mapping

from shared.domain.azureml import ShareSettings
from shared.domain.champions import Action, Change, Portion, Traffic
from shared.domain.services import BakeSettings
from shared.domain.values import Duration

ALL = Portion(share=100)
FAILURES = 3  #: looks in a row that must not all fail, where the pipeline has no bake that says so


def plan_of(settings: ShareSettings | None, action: Action) -> tuple[Portion, ...]:
    """Return the steps of a change: a former model gets all calls at once, with one write."""
    if settings is None or action is not Action.PROMOTED:
        return (ALL,)
    steps = [Portion(share=share) for share in settings.steps if share < ALL.share]
    mirrored = [Portion(share=settings.mirror, mirrored=True)] if settings.mirror else []
    return (*mirrored, *steps, ALL)


def shares_with(former: Mapping[str, int], new: str, portion: Portion) -> dict[str, int]:
    """Return who gets how much once the new model has its portion: the others keep their proportions."""
    share = 0 if portion.mirrored else portion.share
    left = 100 - share
    others = {name: part for name, part in former.items() if part and name != new}
    whole = sum(others.values())
    if not whole:
        return {} if portion.mirrored else {new: ALL.share}
    given = {name: left * part // whole for name, part in others.items()}
    # Whole numbers: the rest goes to whom most of it was cut off.
    cut = sorted(others, key=lambda name: (-(left * others[name] % whole), name))
    for name in cut[: left - sum(given.values())]:
        given[name] += 1
    return given_calls({**given, new: share})


def given_calls(shares: Mapping[str, int]) -> dict[str, int]:
    """Return the shares of those that get calls."""
    return {name: share for name, share in shares.items() if share}


def asked_of(change: Change, traffic: Traffic, name: str, step: int) -> dict[str, int]:
    """Return the shares of one target at a step of the plan; those of before the first one for -1."""
    former = traffic.former[name]
    return (
        given_calls(former) if step < 0 else shares_with(former, change.entry.models[name].sha256, traffic.plan[step])
    )


def step_bake(settings: ShareSettings | None, bake: BakeSettings | None) -> BakeSettings:
    """Return how a step is watched."""
    share = settings or ShareSettings()
    failures = bake.failures if bake else FAILURES
    return BakeSettings(time=Duration(float(share.bake)), slower=share.slower, failures=failures)


def portion_text(portion: Portion) -> str:
    """Return the portion for people."""
    return f"a copy of {portion.share} % of the calls" if portion.mirrored else f"{portion.share} % of the calls"


def shown(shares: Mapping[str, int]) -> str:
    """Return the shares for people: `10 % 3f2a91c0de12, 90 % blue`."""
    return ", ".join(f"{share} % {name[:12]}" for name, share in sorted(shares.items())) or "no calls"
