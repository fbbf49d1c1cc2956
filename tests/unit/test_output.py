"""Tables and facts on terminals of several widths, through a pseudo-terminal and without a terminal."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from rich.cells import cell_len

from local.children import ROOT
from shared.cli.output import brief_ids, say, show_facts, show_table, tell
from tests.support.terminal import screen

WIDTHS = (80, 100, 120, 200)
REASON = " ".join(f"reason-{number}" for number in range(40))
PATH = f"breast-cancer/2026/{'a-long-folder-of-a-clinic/' * 4}november.csv"
PREPARE = """
import sys
from datetime import UTC, datetime
from shared.cli.output import show_facts, show_table
from shared.cli.views import HISTORY, JOBS, entry_rows, job_rows
from shared.domain.champions import Action, HistoryEntry
from shared.domain.jobs import Dataset, JobState, Model, BatchFile, received
REASON, PATH = sys.argv[1:]
NOW = datetime.now(UTC).replace(month=11, day=26, hour=9, minute=47)
part = BatchFile(dataset=Dataset(path=PATH, etag="0x1", modified=NOW, size=1), sha256="00")
jobs = [received("income-of-the-northern-region", [part], NOW, once_more=str(n)) for n in range(3)]
jobs = [job.end(JobState.FAILED, NOW, REASON) for job in jobs]
entries = [
    HistoryEntry(number=n, at=NOW, action=Action.ROLLED_BACK, reason=REASON, by="ann", job=job.id,
                 models={"one": Model(sha256="0123456789abcdef" * 4, size=1)})
    for n, job in enumerate(jobs, 998)
]
"""
JOBS = PREPARE + "show_table(JOBS, job_rows(jobs), below='why'); print(*[job.id for job in jobs], sep='\\n')"
HISTORY = (
    PREPARE + "show_table(HISTORY, entry_rows(entries, 1000), below='why'); print(*[j.id for j in jobs], sep='\\n')"
)


def shown(columns: int, program: str) -> tuple[list[str], list[str]]:
    """Return the lines of the table and the three ids of its jobs."""
    *lines, one, two, three = screen(columns, "-c", program, REASON, PATH)
    assert max(map(cell_len, lines)) <= columns
    return lines, [one, two, three]


def unfolded(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("columns", WIDTHS)
def test_jobs_show_id_state_time_data_and_the_whole_reason(columns: int) -> None:
    lines, ids = shown(columns, JOBS)
    for job in ids:
        [row] = [line for line in lines if line.startswith(job.rpartition("-")[2])]
        assert "failed" in row
        assert "11-26 09:47" in row
    assert unfolded(lines).count(REASON) == 3
    [start] = {line.index("data") for line in lines if line.startswith("job ")}
    folded = "".join(line[start:].strip() for line in lines if not line.startswith("  reason"))
    assert PATH in folded or PATH in unfolded(lines)


@pytest.mark.parametrize("columns", WIDTHS)
def test_history_shows_number_time_action_model_job_person_and_the_whole_reason(columns: int) -> None:
    lines, ids = shown(columns, HISTORY)
    for number, job in zip(("998", "999", "1000 ← live"), ids, strict=True):
        [row] = [line for line in lines if line.startswith(number)]
        for cell in ("11-26 09:47", "rolled back", "0123456789ab", job.rpartition("-")[2], "ann"):
            assert cell in row
    assert unfolded(lines).count(REASON) == 3


@pytest.mark.parametrize("program", [JOBS, HISTORY])
def test_a_pipe_gets_whole_lines(program: str) -> None:
    command = [sys.executable, "-c", program, REASON, PATH]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    _, *rows, one, two, three = done.stdout.splitlines()
    assert len(rows) == 3
    for row, job in zip(rows, (one, two, three), strict=True):
        assert job in row
        assert row.endswith(REASON)
        assert re.search(r"\d{4}-11-26 09:47:\d\d", row)


def test_a_table_that_fits_has_one_line_a_row() -> None:
    program = "from shared.cli.output import show_table; show_table(('a', 'why'), [('1', 'x' * 70)], below='why')"
    assert [line.rstrip() for line in screen(80, "-c", program)] == ["a  why", f"1  {'x' * 70}"]


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        (["income-20261101T060000-3f2a91c0de", "command-0123456789abcdef"], ["3f2a91c0de", "6789abcdef"]),
        (["rollout-bike-3-001", "rollout-bike-3-scandinavia"], ["rollout-bike-3-001", "rollout-bike-3-scandinavia"]),
        (["a-0123456789", "b-0123456789", "a-0123456788"], ["a-0123456789", "b-0123456789", "0123456788"]),
    ],
)
def test_a_short_id_is_the_last_ten_digits_of_its_digest_where_only_one_has_them(
    ids: list[str], shown: list[str]
) -> None:
    assert [each.brief for each in brief_ids(ids).values()] == shown


@pytest.mark.parametrize("where", ["say", "tell"])
def test_a_sentence_is_folded_between_words_on_a_terminal(where: str) -> None:
    lines = screen(80, "-c", f"from shared.cli.output import {where}; {where}({REASON!r} + {'a' * 100!r})")
    assert all(len(line) <= 80 or "a" * 100 in line for line in lines)
    assert unfolded(lines) == REASON + "a" * 100


def test_facts_are_folded_between_words_and_never_cut() -> None:
    program = f"from shared.cli.output import show_facts; show_facts('title', [('why', {REASON!r}), ('sum', 'a' * 64)])"
    lines = screen(80, "-c", program)
    assert max(map(len, lines)) <= 80
    assert REASON in unfolded(lines)
    assert any("a" * 64 in line for line in lines)


def test_a_hash_beside_a_long_name_has_its_own_line() -> None:
    facts = [("model of the classic target", "a" * 64), ("data", f"x.csv, SHA-256 {'b' * 64}"), ("why", REASON)]
    lines = screen(80, "-c", f"from shared.cli.output import show_facts; show_facts('title', {facts!r})")
    assert max(map(len, lines)) <= 80
    assert all(any(sign * 64 in line for line in lines) for sign in "ab")
    assert REASON in unfolded(lines)


def test_a_path_that_changes_the_direction_of_writing_is_shown_with_its_signs_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    odd = "income/\u202evsc.\x1b[2Jlive \u00e9\u65e5"

    show_table(("file", "why"), [(odd, odd)], below="why")
    show_facts("facts", [("file", odd)])
    say(odd)
    tell(odd)

    captured = capsys.readouterr()
    assert "\u202e" not in captured.out + captured.err
    assert "\x1b" not in captured.out + captured.err
    assert captured.out.count("income/\\u202evsc.\\x1b[2Jlive \u00e9\u65e5") == 4
