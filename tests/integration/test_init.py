"""`python -m shared init`: an entry from the services' own descriptions, ready but for what no description says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local.workplace import Workplace
from shared.__main__ import main
from shared.base.settings import Settings
from shared.cli.init import check_label
from shared.cli.place import Stopped
from shared.configuration.loading import load_pipelines
from shared.domain.services import ClassicTarget, Description, NewTarget

KEYS = {"CANCER_TRAINING_KEY": "BREAST_CANCER_TRAINING_KEY", "CANCER_ENDPOINT_KEY": "BREAST_CANCER_CLASSIC_KEY"}


def settings_of(place: Workplace, folder: Path, **keys: str) -> Path:
    file = folder / "local.settings.json"
    values = {**place.settings, **{mine: place.settings[theirs] for mine, theirs in KEYS.items()}, **keys}
    file.write_text(json.dumps({"Values": {name: value for name, value in values.items() if value}}))
    return file


def command(place: Workplace, folder: Path, *more: str, **keys: str) -> list[str]:
    settings = place.settings
    return [
        *("init", "cancer", "--training", f"{settings['BREAST_CANCER_TRAINING_ADDRESS']}/swagger.json"),
        *("--scoring", settings["BREAST_CANCER_CLASSIC_SCORING_ADDRESS"], "--kind", "two-class"),
        *("--update", settings["BREAST_CANCER_CLASSIC_ADDRESS"], "--label", "diagnosis"),
        *("--settings", str(settings_of(place, folder, **keys)), *more),
    ]


def filled(file: Path, folder: Path) -> Path:
    """Fill in what the command cannot know."""
    (folder / "rows.csv").write_text("a,diagnosis\n1,benign\n")
    text = file.read_text().replace("${FILL_IN_ROWS_FILE}", "rows.csv")
    file.write_text(text.replace("${FILL_IN_TRAINED_MODEL}", "Breast cancer [trained model]"))
    return file


def test_the_entry_has_the_ports_and_columns_that_the_services_describe(
    place: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pipelines.yaml"
    assert main(command(place, tmp_path, "--into", str(file))) == 0
    printed = capsys.readouterr()
    for name in KEYS.values():
        assert place.settings[name] not in printed.out + printed.err + file.read_text()
    assert "CANCER_TRAINING_KEY: the API key of" in printed.err
    with_keys = {mine: place.settings[theirs] for mine, theirs in KEYS.items()}
    [pipeline] = load_pipelines(filled(file, tmp_path), Settings(with_keys)).alone.values()
    assert (pipeline.training.port, pipeline.training.model) == ("input1", "output1")
    assert (pipeline.training.evaluation, pipeline.training.scored) == ("output2", "output3")
    assert len(pipeline.checks.columns) == 30
    assert pipeline.checks.label == "diagnosis"
    [target] = pipeline.targets
    assert isinstance(target, ClassicTarget)
    assert target.scoring.place[0] == place.settings["BREAST_CANCER_CLASSIC_SCORING_ADDRESS"]


def test_the_address_of_a_new_web_service_makes_a_new_target(place: Workplace, tmp_path: Path) -> None:
    file = tmp_path / "pipelines.yaml"
    arm = f"{place.settings['ARM_ADDRESS']}{place.settings['BREAST_CANCER_NEW_ID']}"
    assert main([*command(place, tmp_path, "--into", str(file)), "--update", arm]) == 0
    with_keys = {mine: place.settings[theirs] for mine, theirs in KEYS.items()}
    [pipeline] = load_pipelines(filled(file, tmp_path), Settings(with_keys)).alone.values()
    [target] = pipeline.targets
    assert isinstance(target, NewTarget)
    assert target.id == place.settings["BREAST_CANCER_NEW_ID"]


@pytest.mark.parametrize(
    ("more", "keys", "why"),
    [
        (["--label", "Diagnosis"], {}, "'diagnosis' differs in case only"),
        (
            ["--label", "diagnoses"],
            {},
            "--label 'diagnoses': the input of the training service has no such column; did",
        ),
        (["--label", "income"], {}, "has no such column; its columns are: diagnosis"),
        (["--update", "https://example.invalid/other"], {}, "is not the address of a Classic endpoint"),
        (["--training", "http://example.invalid/services/1"], {}, "is not an address that can be called"),
        ([], {"CANCER_TRAINING_KEY": ""}, "the setting CANCER_TRAINING_KEY is missing"),
        ([], {"CANCER_TRAINING_KEY": "not the key"}, "CANCER_TRAINING_KEY: has a space"),
    ],
)
def test_a_mistake_is_named_and_no_file_is_written(
    place: Workplace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    keys: dict[str, str],
    why: str,
) -> None:
    file = tmp_path / "pipelines.yaml"
    assert main([*command(place, tmp_path, "--into", str(file), **keys), *more]) != 0
    assert why in capsys.readouterr().err
    assert not file.exists()


def described(*columns: str) -> Description:
    return Description(frozenset(), frozenset(), frozenset(), {"input1": frozenset(columns)})


@pytest.mark.parametrize(
    ("label", "trained", "scored", "said"),
    [
        ("age", ["age", "income"], ["age"], None),
        ("income", ["age", "income"], ["age"], None),
        ("incom", ["age", "income"], ["incom"], "'incom': the input of the training service has no such column; did"),
        ("class", ["age", "income"], [], "no such column; its columns are: age, income"),
        ("Age", [], ["age"], "the input of the scoring service has no such column; 'age' differs in case only"),
        ("income", [], ["age"], None),  # the scoring takes it out
        ("income", [], [], None),
    ],
)
def test_the_label_is_a_column_of_the_training_where_it_describes_its_columns(
    label: str, trained: list[str], scored: list[str], said: str | None
) -> None:
    def check() -> None:
        check_label(label, training=described(*trained), scoring=described(*scored))

    if said is None:
        check()
        return
    with pytest.raises(Stopped, match=re.escape(said)):
        check()
