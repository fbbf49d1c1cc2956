"""What commands show and how they end: views, history, chain, pictures. The commands themselves are in integration."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from sklearn import metrics

from shared.__main__ import main
from shared.cli.curves import Confusion, Curve, Residuals, Roc, curve
from shared.cli.history import live_during, read_moment
from shared.cli.jobs import find_job
from shared.cli.names import listed
from shared.cli.pages import show_page
from shared.cli.pictures import draw
from shared.cli.place import DONE, FAILED, NOTHING, USAGE, Stopped, chosen_settings
from shared.cli.views import fleet_row
from shared.domain.champions import Action, Champion, HistoryEntry
from shared.domain.gate.answers import read_answers
from shared.domain.gate.metrics import Answered, Multiclass, TwoClass
from shared.domain.jobs import BatchFile, Dataset, Model, received
from shared.domain.rollouts import RolloutState
from shared.domain.rows import Rows
from shared.store.history_check import Verified, verify
from tests.support.fake_storage import START
from tests.support.fakes import World
from tests.support.samples import breast_cancer, cellar, diabetes, learn

DAY = timedelta(days=1)


@pytest.fixture
def world() -> World:
    """A pipeline with four entries in its history: found, and three promoted, a day apart."""
    world = World()
    champion = world.records.champions.load("income")
    for number in range(4):
        entry = HistoryEntry(
            number=0,
            at=START + number * DAY,
            action=Action.PROMOTED if number else Action.FOUND,
            reason=f"reason {number}",
            models={"one": Model(sha256=f"{number}" * 64, size=1)},
        )
        champion = world.records.champions.append(champion, entry)
    world.documents.create("champions/income.json", msgspec.json.encode(champion))
    return world


def verified(world: World, noted: str | None = None) -> Verified:
    return verify(world.records.champions.stored_history("income"), world.records.champions.load("income"), noted)


def name(number: int) -> str:
    return f"history/income/{number:06}.json"


def edit(world: World, number: int, /, **members: object) -> None:
    content = json.loads(world.documents.contents[name(number)])
    world.documents.contents[name(number)] = json.dumps({**content, **members}, separators=(",", ":")).encode()


def test_a_history_as_it_was_written_is_whole(world: World) -> None:
    found = verified(world)
    assert (found.whole, found.entries, found.notes) == (True, 4, [])
    assert found.head == world.records.champions.load("income").head
    first = json.loads(world.documents.contents[name(2)])["chain"]
    assert verified(world, noted=first).whole


Meddle = Callable[[World], object]


@pytest.mark.parametrize(
    ("meddle", "fault"),
    [
        (
            lambda w: edit(w, 2, reason="a better one"),
            "entry 3 does not follow from entry 2: one of the two was edited",
        ),
        (lambda w: edit(w, 1, chain="00"), "entry 1 was edited: it says that there was one before"),
        (lambda w: edit(w, 2, number=7), "entry 2 was edited: it says that it is entry 7"),
        (lambda w: edit(w, 3, at="yesterday"), "entry 3 was edited: The record"),
        (lambda w: edit(w, 4, by="nobody"), "entry 4 is not as the champion's record has it"),
        (lambda w: w.documents.contents.pop(name(3)), "entry 3 is missing"),
        (lambda w: w.documents.contents.pop(name(1)), "entry 1 is missing"),
        (lambda w: w.documents.contents.pop(name(4)), "entry 4 is missing: the end was cut off"),
        (lambda w: [w.documents.contents.pop(name(n)) for n in (1, 2, 3, 4)], "entries 1 to 4 are missing"),
    ],
)
def test_an_edit_a_gap_and_a_cut_end_are_found(world: World, meddle: Meddle, fault: str) -> None:
    meddle(world)
    found = verified(world)
    assert not found.whole
    assert any(said.startswith(fault) for said in found.faults), found.faults


def test_a_history_rewritten_as_a_whole_is_found_by_a_head_that_was_noted(world: World) -> None:
    noted = world.records.champions.load("income").head
    champion = Champion(pipeline="income")
    for number in (1, 2, 3, 4):
        entry = msgspec.json.decode(world.documents.contents.pop(name(number)), type=HistoryEntry)
        champion = world.records.champions.append(champion, msgspec.structs.replace(entry, reason="invented"))
    world.documents.contents["champions/income.json"] = msgspec.json.encode(champion)
    assert verified(world).whole
    assert verified(world, noted).faults == [
        f"no entry has the SHA-256 {noted}: the history is not the one that had this head"
    ]


def test_an_entry_that_a_dead_run_left_is_a_note_and_no_fault(world: World) -> None:
    champion = world.records.champions.load("income")
    world.records.champions.append(champion, msgspec.structs.replace(champion.live, reason="left behind", job="other"))
    found = verified(world)
    assert found.whole
    assert "ends at entry 4, the history at 5" in found.notes[0]


@pytest.mark.parametrize(
    ("on", "numbers"),
    [
        ("2026-11-23", []),
        ("2026-11-24", [1]),
        ("2026-11-25", [1, 2]),
        ("2026-11-25T02:59", [1]),
        ("2026-11-25T03:00", [2]),
        ("2026-11-25T03:00+01:00", [1]),
        ("2027-01-01", [4]),
    ],
)
def test_what_was_live_on_a_day_or_at_a_time(world: World, on: str, numbers: list[int]) -> None:
    found = live_during(list(world.records.champions.entries("income")), read_moment(on))
    assert [entry.number for entry, _, _ in found] == numbers
    if numbers:
        assert found[-1][2] == (None if numbers[-1] == 4 else START + numbers[-1] * DAY)


def test_a_malformed_date_says_what_to_write() -> None:
    with pytest.raises(ArgumentTypeError, match="'yesterday' is not a date; write 2026-11-03"):
        read_moment("yesterday")


def test_jobs_are_listed_newest_first_and_only_the_pipelines_own() -> None:
    world = World()
    ids = {}
    for number, pipeline in enumerate(("income", "bike", "income-eu", "income")):
        at = datetime(2026, 11, 1 + number, tzinfo=UTC)
        part = BatchFile(dataset=Dataset(path="a.csv", etag="0x1", modified=at, size=1), sha256="00")
        ids[number] = world.records.jobs.open(received(pipeline, [part], at)).record.id
    assert world.records.jobs.ids() == [ids[3], ids[2], ids[1], ids[0]]
    assert world.records.jobs.ids("income") == [ids[3], ids[0]]
    assert find_job(world.records, ids[1][-10:]).id == ids[1]
    with pytest.raises(Stopped, match=r"could be any of 3 jobs") as several:
        find_job(world.records, "income")
    with pytest.raises(Stopped, match="the job nobody does not exist") as none:
        find_job(world.records, "nobody")
    assert (several.value.code, none.value.code) == (USAGE, NOTHING)


def scored(kind: str) -> tuple[Sequence[Answered], float]:
    """Return what a model and a worse one answered, and the first one's metric as its evaluation has it."""
    table, label, what = {
        "two-class": (breast_cancer(300), "diagnosis", "AUC"),
        "multiclass": (cellar(), "cultivar", "Overall accuracy"),
        "regression": (diabetes(300), "progression", "Root Mean Squared Error"),
    }[kind]
    learner = "ridge" if kind == "regression" else "logistic regression"
    trained = learn(table, label, kind, learner)  # type: ignore[arg-type]
    rows = Rows(list(trained.scored), [list(row) for row in zip(*trained.scored.values(), strict=True)])
    worse = Rows(rows.columns, [*rows.values[1:], rows.values[0]])
    return read_answers(rows, label, worse)[1], trained.evaluation[what]


@pytest.mark.parametrize("kind", ["two-class", "multiclass", "regression"])
def test_curves_give_the_metrics_of_the_evaluation_and_pictures_are_well_formed(kind: str) -> None:
    models, expected = scored(kind)
    drawn = [curve(model) for model in models]
    assert metric(drawn[0]) == pytest.approx(expected)
    assert metric(drawn[1]) != pytest.approx(expected)
    svg = draw('income <"1"> & more', len(models[0].truth), drawn)
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert root.findtext("{http://www.w3.org/2000/svg}title") == 'income <"1"> & more'
    texts = " ".join(str(each.text) for each in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "candidate, " in texts
    assert "champion, " in texts
    assert kind != "multiclass" or "second" in texts
    assert "href" not in svg
    assert "nan" not in svg.lower()


def metric(drawn: Curve) -> float:
    """Return the words in a picture."""
    match drawn:
        case Roc(points, area):
            assert metrics.auc([x for x, _ in points], [y for _, y in points]) == pytest.approx(area)
            return area
        case Residuals(points, said):
            assert np.sqrt(np.mean([error**2 for _, error in points])) == pytest.approx(said)
            return said
        case Confusion(_, counts, accuracy):
            assert np.trace(counts) / np.sum(counts) == pytest.approx(accuracy)
            return accuracy


def test_a_roc_curve_agrees_with_scikit_learn_where_scores_tie() -> None:
    truth = np.array([1.0, 0, 1, 0, 1, 0])
    chances = np.array([0.3, 0.9, 0.6, 0.1, 0.9, 0.3])
    roc = curve(TwoClass(truth, (chances > 0.5).astype(float), chances))
    assert isinstance(roc, Roc)
    alarms, found, _ = metrics.roc_curve(truth, chances, drop_intermediate=False)
    assert [x for x, _ in roc.points] == pytest.approx(alarms.tolist())
    assert [y for _, y in roc.points] == pytest.approx(found.tolist())


def test_confusion_counts_are_by_class_and_by_what_it_was_scored_as() -> None:
    truth, labels = np.array([0, 0, 0, 2, 1]), np.array([0, 1, 1, 2, 2])
    drawn = curve(Multiclass(truth, labels, ["a", "b", "c"]))
    assert isinstance(drawn, Confusion)
    assert (drawn.classes, drawn.counts) == (["a", "b", "c"], metrics.confusion_matrix(truth, labels).tolist())


def test_rows_of_one_class_make_no_roc_curve() -> None:
    with pytest.raises(ValueError, match="all rows are of one class"):
        curve(TwoClass(np.ones(2), np.ones(2), np.array([0.7, 0.9])))
    with pytest.raises(ValueError, match="labels only, and a ROC curve needs probabilities"):
        curve(TwoClass(np.eye(2)[0], np.ones(2), np.ones(2), has_probabilities=False))


def settings_file(folder: Path, body: object) -> Path:
    file = folder / "local.settings.json"
    file.write_text(json.dumps(body), "utf-8")
    return file


def test_settings_come_from_one_place_and_are_never_mixed(tmp_path: Path) -> None:
    local = settings_file(tmp_path, {"IsEncrypted": False, "Values": {"RETRAINING_STORE": "file's", "KEY": "file's"}})
    other = {"KEY": "environment's"}
    named = {"RETRAINING_STORE__blobServiceUri": "https://x", **other}
    assert chosen_settings(None, named, local) == (named, "the environment")
    assert chosen_settings(None, other, local)[0]["KEY"] == "file's"
    assert chosen_settings(local, named)[0] == {"RETRAINING_STORE": "file's", "KEY": "file's"}
    assert chosen_settings(None, other, tmp_path / "none.json") == (other, "the environment")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"IsEncrypted": True, "Values": {"A": "x"}}, "is encrypted; decrypt it first: func settings decrypt"),
        ({"Values": {"A": None}}, "Values.A must be a text"),
        ([], "is not a local.settings.json"),
    ],
)
def test_a_malformed_settings_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: object, said: str
) -> None:
    assert main(["status", "--settings", str(settings_file(tmp_path, body))]) == USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert said in line


def test_without_settings_the_line_says_how_to_give_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = str(settings_file(tmp_path, {"Values": {}}))
    assert main(["jobs", "--settings", file, "--json"]) == FAILED
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit"] == FAILED
    assert "has no setting RETRAINING_STORE; set the app's settings, or give --settings FILE" in captured.err


@pytest.mark.parametrize("command", [[], ["explode"], ["history"], ["rollback", "x", "--to", "1", "--model", "a" * 8]])
def test_a_wrong_command_line_ends_as_argparse_does(command: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == USAGE


def test_many_members_are_listed_as_their_fleet_with_one_example() -> None:
    members = [f"bike-{number:03}" for number in range(1000)]
    said = listed([*members, "income", "bikes", "house-a"], ["bike", "house"])
    assert said == "bikes, income, bike (1000 members, such as bike-000), house (1 members, such as house-a)"
    assert listed(members[:2], []) == "bike-000, bike-001"  # the file cannot be read


@pytest.mark.parametrize("what", ["job", "data set", "request"])
def test_a_list_without_a_line_says_whether_anything_is_recorded(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = Namespace(pipeline=None, before=None, limit=20, json=False)
    assert show_page(chosen, what, [], str, (), list) == NOTHING
    assert capsys.readouterr().err == f"no {what} is recorded yet\n"
    chosen.pipeline = "income"
    assert show_page(chosen, what, [], str, (), list) == NOTHING
    assert capsys.readouterr().err == f"no {what} of income is recorded yet\n"
    assert show_page(chosen, what, ["a", "b"], lambda _: None, (), list) == NOTHING
    assert capsys.readouterr().err == f"none of the 2 recorded {what}s matches\n"


def test_a_fleet_is_one_line_however_many_members_have_errors() -> None:
    rollout = {"number": 3, "course": RolloutState.STOPPED, "text": "rollout 3 of bike (promote) is stopped: 9 failed"}
    fleet = {
        "fleet": "bike",
        "members": 1000,
        "live": 12,
        "jobs": {"training": 40},
        "waiting": 7,
        "rollout": rollout,
        "attention": [f"job {number}: no answer" for number in range(40)],
    }
    name, live, *_, under_way, looked_at = fleet_row(fleet)
    assert (name, live) == ("bike", "12 of 1000 members")
    assert under_way == f"40 training\n7 accepted, and waiting for a rollout\n{rollout['text']}"
    assert looked_at[0].splitlines() == [
        "the rollout is stopped: resume bike, or rollback bike",
        *(f"job {number}: no answer" for number in range(3)),
        "and 37 more: status bike --members",
    ]


def test_the_settings_file_may_be_named_before_the_command_and_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, other = settings_file(tmp_path, {"Values": {}}), tmp_path / "other.json"
    for arguments in (["--settings", str(empty), "status"], ["status", "--settings", str(empty)]):
        assert main(arguments) == FAILED
        assert f"{empty} has no setting RETRAINING_STORE" in capsys.readouterr().err
    assert main(["--settings", str(other), "--json", "status", "--settings", str(empty)]) == FAILED
    shown = capsys.readouterr()
    assert f"{empty} has no setting" in shown.err
    assert json.loads(shown.out)["exit"] == FAILED


def test_a_file_without_pipelines_is_one_sentence_and_not_an_empty_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipelines = tmp_path / "pipelines.yaml"
    pipelines.write_text("pipelines: {}\n", "utf-8")
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"Values": {"PIPELINES_FILE": str(pipelines)}}), "utf-8")
    assert main(["check", "--settings", str(file)]) == DONE
    assert capsys.readouterr() == ("", f"{pipelines} does not have a pipeline yet\n")
