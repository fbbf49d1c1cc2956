"""What shows that an endpoint serves a model, and what does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from shared.domain.champions import Action, Change, HistoryEntry
from shared.domain.jobs import Model
from shared.domain.ports import BlobReference
from shared.domain.proof_rows import ALIKE, FEW_TELLING, TELLING_AT_MOST, most_telling, same_answers
from shared.domain.rows import Rows
from shared.flows.promotion.switch import Switch, Unproven, doubt_of_answers
from tests.support.fakes import Clock, FakeEndpoint, FakeModels


def scores(*probabilities: float) -> Rows:
    return Rows(["Scored Labels", "Scored Probabilities"], [[str(p > 0.5), str(p)] for p in probabilities])


BEFORE = scores(0.1, 0.2, 0.9)


@pytest.mark.parametrize(
    ("answers", "expected", "said"),
    [
        (scores(0.1, 0.2, 0.9), None, "still those of the former model"),
        (scores(0.1, 0.3, 0.9), None, None),
        (scores(0.1, 0.3, 0.8), scores(0.3, 0.8), None),
        (scores(0.1, 0.2, 0.9), scores(0.3, 0.8), "still the former model's and not those that the new model gave"),
        (scores(0.1, 0.4, 0.4), scores(0.3, 0.8), "neither the former model's nor those that the new model gave"),
        (scores(0.1, 0.2, 0.9), scores(0.2, 0.9), None),
    ],
)
def test_where_training_gave_the_new_models_answers_they_are_waited_for_and_no_others(
    answers: Rows, expected: Rows | None, said: str | None
) -> None:
    doubt = doubt_of_answers(answers, BEFORE, expected)
    assert (doubt is None) == (said is None)
    assert said is None or said in (doubt or "")


def test_answers_are_compared_in_the_columns_they_share_and_to_the_last_digits_alone() -> None:
    labels = Rows(["Scored Labels"], [["True"]])
    assert same_answers(scores(0.7), labels)
    assert same_answers(scores(0.7), scores(0.7000000000001))
    assert not same_answers(scores(0.7), scores(0.70001))
    assert not same_answers(scores(0.7), Rows(["Scored Score"], [["0.7"]]))
    assert not same_answers(scores(0.7), scores(0.7, 0.7))


def test_the_rows_on_which_two_models_differ_most_are_chosen() -> None:
    candidate, champion = scores(0.1, 0.2, 0.9, 0.4), scores(0.1, 0.8, 0.85, 0.3)
    assert most_telling(candidate, champion, 2) == [1, 3]
    assert most_telling(candidate, None, 2) == [0, 1]
    assert most_telling(candidate, champion, 9) == [0, 1, 2, 3]


def spread(count: int, shift: float = 0.0) -> list[float]:
    """Return numbers of which no two are the same, and of another shift others."""
    return [0.1 + each / 1000 + shift * (each + 1) for each in range(count)]


def test_few_rows_are_chosen_where_two_models_answer_all_rows_otherwise() -> None:
    candidate, champion = scores(*spread(200)), scores(*spread(200, shift=0.00011))
    assert most_telling(candidate, champion) == [*range(200 - FEW_TELLING, 200)]
    # Of fewer rows, all are taken.
    assert most_telling(scores(*spread(9)), scores(*spread(9, shift=0.00011))) == [*range(9)]


def texts(letter: str) -> Rows:
    return Rows(["Scored Labels"], [[f"{letter}{each}"] for each in range(200)])


@pytest.mark.parametrize(
    ("candidate", "champion"),
    [
        pytest.param(scores(*spread(200)), scores(*spread(200, 1e-10)), id="both-answer-alike"),
        pytest.param(scores(*spread(200)), scores(0.1, *spread(200, 0.00011)[1:]), id="both-answer-one-row-the-same"),
        pytest.param(scores(*[0.3, 0.8] * 100), scores(*[0.8, 0.3] * 100), id="rows-share-a-leaf-of-a-tree"),
        pytest.param(scores(*(1 - 1e-9 * each for each in spread(200))), scores(*spread(200)), id="all-is-nearly-1"),
        pytest.param(scores(*spread(200)), scores(*(1 - 1e-9 * each for each in spread(200))), id="all-was-nearly-1"),
        pytest.param(scores(*spread(200)), scores(*[math.nan] * 200), id="no-number"),
        pytest.param(texts("a"), texts("b"), id="labels"),
    ],
)
def test_many_rows_are_chosen_where_a_third_model_may_give_the_same_answers_for_few(
    candidate: Rows, champion: Rows
) -> None:
    assert len(most_telling(candidate, champion)) == TELLING_AT_MOST


@pytest.mark.parametrize(
    ("make", "load", "chosen"),
    [
        pytest.param(LogisticRegression, load_breast_cancer, FEW_TELLING, id="logistic-regression"),
        pytest.param(Ridge, load_diabetes, FEW_TELLING, id="ridge"),
        pytest.param(partial(DecisionTreeClassifier, max_depth=4), load_breast_cancer, TELLING_AT_MOST, id="tree"),
        pytest.param(
            partial(KNeighborsRegressor, weights="distance"), load_diabetes, TELLING_AT_MOST, id="nearest-neighbours"
        ),
    ],
)
def test_the_chosen_rows_show_also_that_a_third_model_answers(
    make: Callable[[], Any], load: Callable[[], Any], chosen: int
) -> None:
    loaded = load()
    data, labels, shuffled = StandardScaler().fit_transform(loaded.data), loaded.target, np.random.default_rng(0)
    for _ in range(12):
        places = shuffled.permutation(len(data))
        held_out, rest = places[:120], places[120:]

        def answers(count: int, held_out: Any = held_out, rest: Any = rest) -> Rows:
            """Return what a model of that many rows answers for those held out."""
            model = make().fit(data[rest[:count]], labels[rest[:count]])
            asked = data[held_out]
            numbers = model.predict_proba(asked)[:, 1] if hasattr(model, "predict_proba") else model.predict(asked)
            return scores(*numbers.tolist())

        champion, candidate, third = answers(250), answers(280), answers(300)
        at = most_telling(candidate, champion)
        assert len(at) == chosen
        assert not same_answers(candidate.at(at), third.at(at), ALIKE)


class AlikeEndpoint(FakeEndpoint):
    """An endpoint whose models all answer alike."""

    def score(self, rows: Rows) -> Rows:
        return Rows(["Scored Labels"], [["yes"] for _ in rows.values])


def change(models: FakeModels, expected: Rows | None) -> tuple[Change, Model]:
    before, after = models.keep(iter([b"before"])), models.keep(iter([b"after"]))
    now = datetime(2026, 11, 24, tzinfo=UTC)
    entry = HistoryEntry(number=2, at=now, action=Action.PROMOTED, reason="", models={"one": after})
    answers = {"one": Rows(["Scored Labels"], [["yes"]])}
    rows = Rows(["age"], [["39"]])
    return Change(
        request_id="m", begun=now, entry=entry, before={"one": before}, rows=rows, answers=answers, expected=expected
    ), before


def switch(endpoint: FakeEndpoint, models: FakeModels, clock: Clock) -> Switch:
    return Switch(
        endpoints={"one": endpoint},
        timeout=60.0,
        link=models.link,
        renew=lambda: None,
        keep=lambda: None,
        now=clock.now,
        sleep=clock.sleep,
    )


def test_two_models_that_answer_alike_are_switched_and_it_is_said_that_nothing_shows_it() -> None:
    clock = Clock()
    models = FakeModels(clock)
    wanted, before = change(models, Rows(["Scored Labels"], [["yes"]]))
    endpoint = AlikeEndpoint(clock, models, models.link(before))
    made = switch(endpoint, models, clock).make(wanted)
    assert not made.proof["one"].proven
    assert "both models answer alike for all 1 kept rows" in made.proof["one"].text


def test_unless_it_is_known_what_the_new_model_answers_the_same_answers_prove_nothing() -> None:
    clock = Clock()
    models = FakeModels(clock)
    wanted, before = change(models, None)
    endpoint = AlikeEndpoint(clock, models, models.link(before))
    with pytest.raises(Unproven, match="After 60 s the answers to the kept rows are still those of the former model"):
        switch(endpoint, models, clock).make(wanted)


def test_an_earlier_answer_under_another_models_name_does_not_block_a_revert() -> None:
    clock = Clock()
    models = FakeModels(clock)
    wanted, before = change(models, Rows(["Scored Labels"], [["after"]]))
    answers = {"one": Rows(["Scored Labels"], [["what somebody else deployed"]])}
    endpoint = FakeEndpoint(clock, models, models.link(wanted.entry.models["one"]))
    said = switch(endpoint, models, clock).revert(msgspec.structs.replace(wanted, answers=answers))
    assert endpoint.score(wanted.rows).values == [["before"]]
    assert "answers otherwise than before the change and than the new model" in said
    assert endpoint.model().address == models.link(before).address


def test_as_long_as_the_new_model_may_answer_the_revert_has_not_ended() -> None:
    clock = Clock()
    models = FakeModels(clock)
    wanted, _ = change(models, Rows(["Scored Labels"], [["after"]]))
    endpoint = FakeEndpoint(clock, models, models.link(wanted.entry.models["one"]))
    endpoint.deaf = 1
    with pytest.raises(Unproven):
        switch(endpoint, models, clock).revert(wanted)


@pytest.mark.parametrize(
    ("already", "asked"), [((), ["keep", "keep", "keep", "renew"]), (("two",), ["keep", "renew"]), (("one", "two"), [])]
)
def test_the_last_look_at_what_is_changed_renews_the_lease_whatever_its_age(
    already: tuple[str, ...], asked: list[str]
) -> None:
    clock, kept = Clock(), list[str]()
    models = FakeModels(clock)
    wanted, before = change(models, None)
    after, names = wanted.entry.models["one"], ("one", "two")
    entry = msgspec.structs.replace(wanted.entry, models=dict.fromkeys(names, after))
    former = {name: after if name in already else before for name in names}
    answers = dict.fromkeys(names, Rows(["Scored Labels"], [["before"]]))
    wanted = msgspec.structs.replace(wanted, entry=entry, before=former, answers=answers)
    renewing = Switch(
        endpoints={name: FakeEndpoint(clock, models, models.link(former[name])) for name in names},
        timeout=60.0,
        link=models.link,
        renew=lambda: kept.append("renew"),
        keep=lambda: kept.append("keep"),
        now=clock.now,
        sleep=clock.sleep,
    )
    assert [*renewing.make(wanted, fresh=True).proof] == [*names]
    assert kept == asked  # before each update, and with each look


class MisnamedEndpoint(FakeEndpoint):
    """An endpoint that answers with the model it was given, while its definition names another."""

    def model(self) -> BlobReference:
        return BlobReference("https://other.example/", "another.ilearner")


def test_the_answers_of_the_new_model_prove_nothing_while_the_definition_names_another() -> None:
    clock = Clock()
    models = FakeModels(clock)
    wanted, before = change(models, None)
    endpoint = MisnamedEndpoint(clock, models, models.link(before))
    with pytest.raises(Unproven, match="After 60 s the definition names another model than the one it was given"):
        switch(endpoint, models, clock).make(wanted)
    assert endpoint.score(wanted.rows).values == [["after"]]


def test_a_former_model_is_live_again_only_when_the_definition_names_it() -> None:
    clock = Clock()
    models = FakeModels(clock)
    wanted, before = change(models, None)
    former = msgspec.structs.replace(wanted, answers={"one": Rows(["Scored Labels"], [["before"]])})
    endpoint = MisnamedEndpoint(clock, models, models.link(before))
    with pytest.raises(Unproven, match="the definition names another model"):
        switch(endpoint, models, clock).revert(former)
