"""Records as people read them: rows of tables and lists of facts. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from shared.cli.output import Brief, Cell, Fact, brief_ids, moment, short, short_id, utc
from shared.domain.arrivals import Arrival, ArrivalState
from shared.domain.champions import Action, Champion, Change, HistoryEntry, Proof, Watch
from shared.domain.checks import ColumnDescription, Report
from shared.domain.evaluation import Evaluation, shown
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.jobs import Approval, BatchFile, JobState, Model, RetrainingJob
from shared.domain.rollouts import Member, MemberState, RolloutState
from shared.domain.sharing import portion_text
from shared.domain.stuck import Stuck, lines, stuck_jobs

_A, _J, _M = ArrivalState, JobState, MemberState
#: by style, the states that have it; what is under way has none of these
_STYLES: dict[str, set[Enum]] = {
    "green": {_J.PROMOTED, _J.ACCEPTED, _A.TAKEN, _M.PROMOTED, Action.PROMOTED},
    "yellow": {_J.REJECTED, _M.ROLLED_BACK, Action.ROLLED_BACK},
    "red": {_J.REVERTED, _J.FAILED, _J.TIMED_OUT, _A.MOVING, _A.QUARANTINED, _M.FAILED, Action.REVERTED},
    "dim": {_J.SUPERSEDED, _J.CANCELLED, _A.SAME, _A.SUPERSEDED, _A.GONE, _M.WAITING, _M.SUPERSEDED, _M.LEFT_OUT},
    "bold magenta": {_J.AWAITING},
}
OUTCOMES = {Outcome.HOLDS: ("✓", "green"), Outcome.FAILS: ("✗", "red"), Outcome.UNDECIDED: ("?", "yellow")}

STATUS = ("pipeline", "live", "since (UTC)", "model", "last data", "under way", "waits for you")
REQUESTS = ("request", "when (UTC)", "pipeline", "by", "outcome")
ATTENTION = 3  #: lines of a fleet about what is to be looked at
JOBS = ("job", "pipeline", "state", "received (UTC)", "data", "why")
DATA = ("data", "pipeline", "state", "dropped (UTC)", "path", "what became of it")
COLUMNS = ("column", "type", "missing", "drift", "values")
MEMBERS = ("member", "standing", "job or entry", "why")
HISTORY = ("entry", "since (UTC)", "what", "model", "job", "by", "why")


class LastData(NamedTuple):
    """The newest data of a pipeline, and the job that took it."""

    arrival: Arrival
    job: RetrainingJob | None


def status_row(
    champion: Champion,
    last: LastData | None,
    jobs: Sequence[RetrainingJob],
    watch: Watch | None,
    looked_at: Sequence[str],
) -> tuple[Cell, ...]:
    """Return the line of a pipeline. `watch` is the state of a running bake; `looked_at` are lines for a person."""
    live = champion.live
    under_way = [f"{job.id} {job.state.value}" for job in jobs]
    if champion.change:
        under_way.append(change_text(champion.change))
    if watch:
        under_way.append(f"watched until {utc(watch.until)}")
    return (
        champion.pipeline,
        f"entry {live.number}, {live.action.value}" if live else ("nothing recorded yet", "dim"),
        moment(live.at) if live else "",
        models(live.models) if live else "",
        last_data(last) if last else "",
        "\n".join(under_way),
        ("\n".join(looked_at), "bold magenta"),
    )


def change_text(change: Change) -> str:
    """Return what a change is at, and how many of the calls the new model has been given."""
    text = f"change to entry {change.entry.number}, {change.phase.value}"
    given = change.traffic.steps if change.traffic else ()
    return f"{text}: {portion_text(given[-1])} since {utc(given[-1].at)[11:]}" if given else text


def fleet_row(fleet: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return the one line of a fleet, of what `status --json` says of it."""
    under_way = [f"{count} {state}" for state, count in fleet["jobs"].items()]
    if fleet["waiting"]:
        under_way.append(f"{fleet['waiting']} accepted, and waiting for a rollout")
    if fleet["rollout"] and fleet["rollout"]["course"] is not RolloutState.DONE:
        under_way.append(fleet["rollout"]["text"])
    looked_at = fleet["attention"][:ATTENTION]
    if more := len(fleet["attention"]) - len(looked_at):
        looked_at.append(f"and {more} more: status {fleet['fleet']} --members")
    if fleet["rollout"] and fleet["rollout"]["course"] is RolloutState.STOPPED:
        looked_at.insert(0, f"the rollout is stopped: resume {fleet['fleet']}, or rollback {fleet['fleet']}")
    return (
        fleet["fleet"],
        f"{fleet['live']} of {fleet['members']} members",
        "",
        "",
        "",
        "\n".join(under_way),
        ("\n".join(looked_at), "bold magenta"),
    )


def last_data(last: LastData) -> Cell:
    """Return the newest data of a pipeline with what became of it."""
    arrival, job = last
    text = f"{arrival.dataset.path}, {utc(arrival.dataset.modified)[:16]}: {arrival.state.value}"
    if job and arrival.state is ArrivalState.TAKEN:
        return f"{text} in job {short_id(job.id)}, which is {job.state.value}", styled(job.state)[1]
    return (f"{text}: {arrival.reason}" if arrival.reason else text), styled(arrival.state)[1]


def attention(
    jobs: Sequence[RetrainingJob],
    watch: Watch | None,
    files: Sequence[Stuck],
    now: datetime,
    last: LastData | None = None,
) -> Iterator[str]:
    """Yield what waits for a person, or is stuck. `files` are the stuck ones."""
    if last and last.arrival.state in (ArrivalState.QUARANTINED, ArrivalState.MOVING):
        yield f"{last.arrival.dataset.path} was set aside: data show {short_id(last.arrival.id)}"
    for job in jobs:
        if job.state is JobState.AWAITING:
            until = f" until {utc(job.approval.expires_at)}" if job.approval else ""
            yield f"approve or reject {job.id}{until}"
    yield from lines([*stuck_jobs(jobs, now), *files])
    if watch and watch.trouble:
        yield watch.trouble


def job_rows(jobs: Sequence[RetrainingJob]) -> list[tuple[Cell, ...]]:
    ids = brief_ids(job.id for job in jobs)
    return [
        (
            ids[job.id],
            job.pipeline,
            styled(job.state),
            moment(job.received_at),
            job.dataset.path if len(job.parts) < 2 else f"{job.dataset.path} and {len(job.parts) - 1} more",
            job.reason or job.trouble or job.steps[-1].note,
        )
        for job in jobs
    ]


def styled(state: Enum) -> tuple[str, str]:
    """Return the state's own word, and the style of its kind."""
    return state.value, next((style for style, states in _STYLES.items() if state in states), "cyan")


def job_facts(job: RetrainingJob) -> list[Fact]:
    """Return all there is to say of a job, in the order in which it happened."""
    facts: list[Fact] = [("state", styled(job.state)), ("reason", job.reason or "")]
    if job.trouble:
        next_try = f" (tried again at {utc(job.not_before)})" if job.not_before else ""
        facts.append(("trouble", (f"{job.trouble}{next_try}", "red")))
    facts += data_facts(job.parts)
    facts += [
        _parameters(job.parameters),
        ("training job", job.bes_job or ""),
        ("model", job.model.sha256 if job.model else ""),
        _metrics(job.evaluation),
        ("held-out rows", f"{job.held_out.rows:,} of {job.held_out.of:,}" if job.held_out else ""),
    ]
    facts += verdict_facts(job.verdict)
    facts += approval_facts(job.approval)
    steps = [f"{utc(step.at)}  {step.state.value}  {step.note}" for step in job.steps]
    return facts + [("steps (UTC)" if number == 0 else "", step) for number, step in enumerate(steps)]


def data_rows(arrivals: Sequence[Arrival]) -> list[tuple[Cell, ...]]:
    ids = brief_ids(f"{each.pipeline}/{each.id}" for each in arrivals)  # pipelines may take the same file
    return [
        (
            replace(ids[f"{each.pipeline}/{each.id}"], full=each.id),
            each.pipeline,
            styled(each.state),
            moment(each.dataset.modified),
            each.dataset.path,
            Brief(became_of(each, str), became_of(each, short_id)),
        )
        for each in arrivals
    ]


def became_of(arrival: Arrival, named: Callable[[str], str]) -> str:
    """Return what became of the data, in a few words behind its state; `named` gives the job's id as it is shown."""
    rows = f"{arrival.rows:,} rows" if arrival.rows is not None else ""
    taken = arrival.job if arrival.state is ArrivalState.TAKEN else None
    return ", ".join(filter(None, [rows, f"in job {named(taken)}" if taken else arrival.reason]))


def arrival_facts(arrival: Arrival, report: Report | None) -> list[Fact]:
    facts: list[Fact] = [
        ("id", arrival.id),
        ("pipeline", arrival.pipeline),
        ("state", styled(arrival.state)),
        ("reason", "" if arrival.state is ArrivalState.TAKEN else arrival.reason or ""),
        ("job", arrival.job or ""),
        ("dropped", f"{utc(arrival.dataset.modified)} (UTC), {arrival.dataset.size:,} bytes"),
        ("rows", f"{report.rows:,}" if report else f"{arrival.rows:,}" if arrival.rows is not None else ""),
        ("SHA-256", arrival.sha256 or (report.sha256 if report else "")),
        ("moved to", arrival.moved or ""),
    ]
    faults = [each.message for each in (report.faults if report else ()) if each.message != arrival.reason]
    facts += [("fault", (each, "red")) for each in faults]
    return facts + [("note", (each, "yellow")) for each in (report.notes if report else ())]


def column_rows(columns: Iterable[ColumnDescription]) -> list[tuple[Cell, ...]]:
    return [
        (
            each.name,
            each.type,
            f"{each.missing:,} ({each.missing_share:.1%})" if each.missing else "",
            (f"{each.drift:.3f}", _drift_style(each.drift)) if each.drift is not None else "",
            each.values,
        )
        for each in columns
    ]


def _drift_style(psi: float) -> str:
    return "red" if psi >= 0.25 else "yellow" if psi >= 0.1 else ""


def member_rows(members: Sequence[Member]) -> list[tuple[Cell, ...]]:
    ids = brief_ids(member.job for member in members if member.job)
    return [
        (
            member.pipeline,
            styled(member.state),
            ids[member.job] if member.job else f"entry {member.live}",
            member.reason,
        )
        for member in members
    ]


def request_rows(found: Sequence[tuple[str, datetime, Mapping[str, str]]]) -> list[tuple[Cell, ...]]:
    ids = brief_ids(each for each, _, _ in found)
    return [
        (ids[each], moment(at), note.get("pipeline", ""), note.get("by", ""), note.get("outcome", ""))
        for each, at, note in found
    ]


def entry_rows(entries: Sequence[HistoryEntry], live: int | None) -> list[tuple[Cell, ...]]:
    ids = brief_ids(entry.job for entry in entries if entry.job)
    return [
        (
            (f"{entry.number} ← live", "bold green") if entry.number == live else str(entry.number),
            moment(entry.at),
            styled(entry.action),
            models(entry.models),
            ids[entry.job] if entry.job else "",
            entry.by or "",
            entry.reason,
        )
        for entry in entries
    ]


def entry_facts(entry: HistoryEntry, digest: str, until: datetime | None) -> list[Fact]:
    """Return what was live from when to when, and why; `digest` is the entry's own SHA-256."""
    facts: list[Fact] = [
        ("live", f"{utc(entry.at)} to {utc(until) if until else 'now'} (UTC)"),
        ("what", styled(entry.action)),
        ("why", entry.reason),
        ("by", entry.by or ""),
    ]
    facts += [(f"model of {name}", model.sha256) for name, model in entry.models.items()]
    facts.append(("job", entry.job or ""))
    facts += data_facts(entry.parts)
    facts += [_parameters(entry.parameters), _metrics(entry.evaluation)]
    facts += verdict_facts(entry.verdict)
    facts += approval_facts(entry.approval)
    facts += [(f"proof on {name}", proof(each)) for name, each in entry.proof.items()]
    steps = [f"{utc(step.at)}  {portion_text(step)}{step.note and f': {step.note}'}" for step in entry.traffic]
    facts += [("traffic (UTC)" if number == 0 else "", step) for number, step in enumerate(steps)]
    for name, place in entry.served_by.items():
        facts.append((f"served on {name}", ", ".join(f"{what} {which}" for what, which in place.items())))
    return [*facts, ("fence", str(entry.fence)), ("SHA-256", digest), ("after", entry.chain or "")]


def verdict_facts(verdict: Verdict | None, name: str = "gate") -> list[Fact]:
    if verdict is None:
        return []
    if verdict.same_rows:
        on = f"both models on the same {verdict.same_rows:,} rows"
    else:
        on = "by numbers from different rows" if verdict.champion else "by the candidate's own numbers"
    facts: list[Fact] = [(name, (f"{verdict.outcome.value}, {on}", OUTCOMES[verdict.outcome][1]))]
    signs = [(finding.text, *OUTCOMES[finding.outcome]) for finding in verdict.findings]
    return facts + [("", (f"{sign} {text}", style)) for text, sign, style in signs]


def approval_facts(approval: Approval | None) -> list[Fact]:
    if approval is None:
        return []
    if approval.approved is None:
        return [("approval", f"asked for until {utc(approval.expires_at)} (UTC)"), ("seen", approval.seen)]
    what = "approved" if approval.approved else "rejected"
    comment = f": {approval.comment}" if approval.comment else ""
    return [("approval", f"{what} by {approval.by} at {utc(approval.at)} (UTC){comment}"), ("seen", approval.seen)]


def data_facts(parts: Iterable[BatchFile]) -> list[Fact]:
    facts: list[Fact] = []
    for part in parts:
        rows = f", {part.rows:,} rows" if part.rows is not None else ""
        text = f"{part.dataset.path}{rows}, of {utc(part.dataset.modified)}, SHA-256 {part.sha256}"
        facts.append(("" if facts else "data", text))
    return facts


def proof(each: Proof) -> Cell:
    return f"{'PROVEN' if each.proven else 'UNPROVEN'}: {each.text}", "green" if each.proven else "yellow"


def models(by_target: Mapping[str, Model]) -> str:
    """Return the one model of all targets, or each target's."""
    hashes = {model.sha256 for model in by_target.values()}
    if len(hashes) == 1:
        return short(*hashes)
    return ", ".join(f"{name} {short(model.sha256)}" for name, model in by_target.items())


def _parameters(parameters: Mapping[str, str]) -> Fact:
    return "parameters", ", ".join(f"{name} = {value}" for name, value in parameters.items())


def _metrics(evaluation: Evaluation | None) -> Fact:
    metrics = evaluation.metrics if evaluation else {}
    return "metrics", ", ".join(f"{name} {shown(float(text))}" for name, text in metrics.items())
