"""The ilearner file: the same training gives the same bytes, and a stranger's file runs nothing."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
import skops.io
from sklearn.gaussian_process import GaussianProcessClassifier

from local.datasets import as_csv, breast_cancer
from studio.errors import StudioError
from studio.experiments import load_experiment
from studio.ilearner import TrainedModel, pack, unpack
from studio.scoring import score
from studio.tables import read_table
from studio.training import train


def trained() -> TrainedModel:
    header, rows = breast_cancer()
    [only] = train(load_experiment("breast-cancer"), read_table(as_csv(header, rows[:150])), {})
    return only.model


def model_file() -> bytes:
    return pack(trained())


def test_the_same_data_parameters_and_seed_give_the_same_file_byte_for_byte() -> None:
    assert model_file() == model_file()


def test_a_model_scores_the_same_after_it_was_packed_and_unpacked() -> None:
    header, rows = breast_cancer()
    model = trained()
    assert score(unpack(pack(model)), header, rows[:50]) == score(model, header, rows[:50])


class Evil:
    ran = False

    def __reduce__(self) -> tuple[object, ...]:
        return (setattr, (Evil, "ran", True))


def _with_part(name: str, content: bytes) -> bytes:
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model_file())) as old, zipfile.ZipFile(changed, "w") as new:
        for part in old.namelist():
            new.writestr(part, content if part == name else old.read(part))
    return changed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip",
        pickle.dumps(Evil()),
        model_file()[:1000],
        _with_part("model.skops", pickle.dumps(Evil())),
        _with_part("model.skops", skops.io.dumps(GaussianProcessClassifier())),
        _with_part("manifest.json", b"{}"),
    ],
    ids=["empty", "text", "pickle", "cut off", "pickle inside", "another type inside", "no manifest"],
)
def test_what_is_no_model_of_this_studio_is_refused_and_runs_no_code(content: bytes) -> None:
    with pytest.raises(StudioError) as refused:
        loaded = unpack(content)
        score(loaded, [], [])
    assert refused.value.detail in ("InvalidBlob", "ModuleExecutionError")
    assert not Evil.ran
