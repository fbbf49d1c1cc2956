"""The champion answers a few held-out rows by request, while the results of the training are kept."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import msgspec
import pytest

from shared.base.errors import ServiceUnavailable
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import parse_rule
from shared.domain.jobs import JobState, Model, RetrainingJob
from shared.domain.ports import BlobReference, Finished
from shared.domain.rows import Rows
from shared.flows.by_request import FEW
from shared.store import Records
from tests.support.fakes import World

ROWS = 40
SCORED = ["Scored Labels", "Scored Probabilities"]


def table(number: int, count: int) -> bytes:
    """Return scored rows; of another number they are others."""
    rows = (f"{number + each},{each % 2},{each % 2},{each % 2}\n" for each in range(count))
    return f"age,label,{','.join(SCORED)}\n{''.join(rows)}".encode()


class Place(World):
    """A pipeline whose training gives the held-out rows; `asked` are the rows that its first target was given."""

    def __init__(self) -> None:
        super().__init__(gate=Gate(rules=[parse_rule("AUC >= champion")], label="label"))
        training = msgspec.structs.replace(self.alone["income"].training, scored="output3")
        self.alone["income"] = msgspec.structs.replace(self.alone["income"], training=training)
        self.asked: list[int] = []
        self.fails: list[Exception] = []
        self.rows, self.tables, self.read = ROWS, 0, self.reader.read
        self.reader.read = self.results  # type: ignore[method-assign]
        self.endpoints["one"].score = self.score  # type: ignore[method-assign]
        names = {"output1": "a.ilearner", "output2": "a.csv", "output3": "rows.csv"}
        results = {port: BlobReference("https://store.example/", name) for port, name in names.items()}
        self.service.answer = Finished(results)

    def results(self, reference: BlobReference) -> Iterator[bytes]:
        if reference.relative != "rows.csv":
            return self.read(reference)
        self.tables += 1
        return iter([table(self.tables, self.rows)])

    def score(self, rows: Rows) -> Rows:
        if self.fails:
            raise self.fails.pop(0)
        self.asked.append(len(rows.values))
        return Rows(SCORED, [["0", "0.5"] for _ in rows.values])

    def judged(self) -> RetrainingJob:
        job_id = self.drop("a.csv")
        self.flows.training.poll()
        return self.records.jobs.require(job_id).record


@pytest.fixture
def place() -> Place:
    return Place()


def test_the_rows_are_asked_for_once(place: Place) -> None:
    # Before the first promotion it is not recorded what is live, so that the endpoint is asked for that first.
    assert place.judged().state is JobState.ACCEPTED
    place.run(lambda: place.records.champions.load("income").live is not None)
    place.asked.clear()
    again = place.judged()
    assert again.verdict is not None
    assert again.verdict.same_rows == ROWS
    assert place.asked == [ROWS]


def test_results_are_kept_also_where_the_champion_does_not_answer(place: Place) -> None:
    place.fails = [ServiceUnavailable("503"), ServiceUnavailable("503")]
    job = place.judged()
    assert (job.state, job.trouble) == (JobState.JUDGING, "503")
    assert job.held_out is not None
    assert place.records.answers.rows(job.held_out.digest) is not None
    place.clock.sleep(60)
    place.flows.training.poll()
    assert place.records.jobs.require(job.id).record.state is JobState.ACCEPTED


def test_a_champion_that_is_replaced_while_it_answers_is_not_compared_with(place: Place) -> None:
    place.judged()
    place.run(lambda: place.records.champions.load("income").live is not None)
    model, score = place.models.keep(iter([b"deployed meanwhile"])), place.score

    def replaced(rows: Rows) -> Rows:
        place.endpoints["one"].score = score  # type: ignore[method-assign]
        for endpoint in place.endpoints.values():
            endpoint.named = place.models.link(model)
        return score(rows)

    place.endpoints["one"].score = replaced  # type: ignore[method-assign]
    place.asked.clear()
    job = place.judged()
    assert job.verdict is not None
    assert (place.asked, job.verdict.champion) == ([ROWS, ROWS], model.sha256)


def test_a_champion_that_is_replaced_while_the_candidate_is_kept_is_not_compared_with(place: Place) -> None:
    place.judged()
    place.run(lambda: place.records.champions.load("income").live is not None)
    endpoint, other, named = place.endpoints["one"], place.models.keep(iter([b"deployed meanwhile"])), Event()
    name, keep = endpoint.model, place.models.keep

    def naming() -> BlobReference:
        reference = name()
        named.set()
        return reference

    def long(chunks: Iterator[bytes]) -> Model:
        assert named.wait(10), "the champion answers while the candidate is kept"
        place.clock.sleep(3)
        for each in place.endpoints.values():
            each.named = place.models.link(other)
        return keep(chunks)

    endpoint.model, place.models.keep = naming, long  # type: ignore[method-assign]
    job = place.judged()
    assert job.verdict is not None
    assert job.verdict.champion == other.sha256


def refused_once(place: Place, method: str, beginning: str) -> None:
    """Have the storage refuse the next write of that kind."""
    write = getattr(place.documents, method)

    def refusing(name: str, *arguments: object, **options: object) -> object:
        if name.startswith(beginning):
            setattr(place.documents, method, write)
            raise ServiceUnavailable(f"{name}: 503")
        return write(name, *arguments, **options)

    setattr(place.documents, method, refusing)


def test_the_verdict_does_not_wait_for_the_write_of_a_few_answers(place: Place) -> None:
    refused_once(place, "create", "answers/")
    assert place.judged().state is JobState.ACCEPTED
    place.run(lambda: place.records.champions.load("income").live is not None)


def test_many_answers_are_kept_before_the_verdict_so_that_they_are_asked_for_once(place: Place) -> None:
    place.rows = FEW + 1
    refused_once(place, "replace", "jobs/")
    assert place.judged().state is JobState.SUBMITTED
    place.tables = 0  # its results are the same when they are taken again
    place.clock.sleep(60)
    place.flows.training.poll()
    assert place.asked == [FEW + 1]


def test_the_live_model_is_compared_with_also_where_another_process_has_promoted_it(place: Place) -> None:
    place.judged()
    place.run(lambda: place.records.champions.load("income").live is not None)
    other, model = Records(place.documents), place.models.keep(iter([b"promoted by another process"]))
    with other.champions.hold(other.champions.look("income"), place.clock.now) as held:
        assert held.champion.live is not None
        entry = msgspec.structs.replace(held.champion.live, models=dict.fromkeys(place.endpoints, model))
        held.save(other.champions.append(held.champion, entry))
    for endpoint in place.endpoints.values():
        endpoint.named = place.models.link(model)
    remembered = place.records.champions.look("income", recent=True).stored.record
    assert remembered.live is not None and model not in remembered.live.models.values()
    job = place.judged()
    assert job.verdict is not None
    assert (job.verdict.same_rows, job.verdict.champion) == (ROWS, model.sha256)
