"""On every processor: what an answer depends on, and what it does not. Each kernel runs in its own process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from local.children import ROOT
from shared.domain.proof_rows import same_answers
from shared.domain.rows import Rows
from studio.learning.ilearner import pack
from studio.learning.tables import Columns
from tests.support.kernels import MODELS, model_of

#: the dispatched kernels of NumPy that this processor would take
_DISPATCHED = " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))  # type: ignore[call-overload]
#: the settings of a process, and the names of the BLAS kernels that one of them may load. The first has the threads
#: that a user has, and the others one: the threads of many small predictions wait for each other.
KERNELS: dict[str, tuple[dict[str, str], set[str]]] = {
    "this processor's": ({}, set()),
    "Haswell": ({"OPENBLAS_CORETYPE": "HASWELL"}, {"Haswell"}),
    "Zen": ({"OPENBLAS_CORETYPE": "ZEN"}, {"Zen", "Haswell"}),  # the wheels have Haswell's for it
    "Nehalem": ({"OPENBLAS_CORETYPE": "NEHALEM"}, {"Nehalem"}),
    "NumPy's baseline": ({"NPY_DISABLE_CPU_FEATURES": _DISPATCHED}, set()),
}
EACH = pytest.mark.parametrize("kernel", KERNELS)


@dataclass(frozen=True)
class Answered:
    """What a process under one kernel said."""

    architectures: list[str]
    dependent: list[str]  #: models whose answer for a row depends on the rows beside it
    unequal: list[str]  #: models whose second training gave other bytes
    answers: Mapping[str, Columns]  #: of the models that this process trained


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in MODELS:
        (folder / name).write_bytes(pack(model_of(name)))
    return folder


@cache
def answered(kernel: str, models: Path) -> Answered:
    settings, expected = KERNELS[kernel]
    if settings and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip(f"{kernel} is a kernel of x86-64 processors, and this is {platform.machine()}")
    if "" in settings.values():
        pytest.skip("NumPy has no kernels on this processor beside its baseline")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "ignore", "-m", "tests.support.kernels", str(models)],
        cwd=ROOT,
        env={**os.environ, **settings, **({"OMP_NUM_THREADS": "1"} if settings else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = Answered(**json.loads(done.stdout))
    if expected and not set(said.architectures) <= expected:
        pytest.skip(f"OpenBLAS has no kernel for {kernel} here; it loaded {', '.join(said.architectures)}")
    return said


@EACH
def test_an_answer_does_not_depend_on_the_rows_beside_it(kernel: str, models: Path) -> None:
    assert answered(kernel, models).dependent == []


@EACH
def test_the_same_training_on_the_same_processor_gives_the_same_bytes(kernel: str, models: Path) -> None:
    assert answered(kernel, models).unequal == []


@EACH
def test_a_model_answers_alike_on_every_processor(kernel: str, models: Path) -> None:
    said = answered(kernel, models).answers
    here = answered("this processor's", models).answers
    assert list(said) == list(MODELS)
    for name, columns in said.items():
        assert same_answers(_rows(columns), _rows(here[name])), name


@EACH
def test_sums_and_trees_have_the_same_bits_on_every_processor(kernel: str, models: Path) -> None:
    """Only the exponential, which makes a probability of a sum, is the machine's own."""
    said = answered(kernel, models).answers
    here = answered("this processor's", models).answers
    exact = [name for name in MODELS if "forest" in name or name.startswith("regression")]
    assert len(exact) == 5
    assert {name: said[name] for name in exact} == {name: here[name] for name in exact}


def _rows(columns: Columns) -> Rows:
    return Rows(list(columns), [list(row) for row in zip(*columns.values(), strict=True)])
