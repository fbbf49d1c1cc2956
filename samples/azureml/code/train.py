"""Train a classifier on a CSV file with a header: the training job of the samples.

Outputs: `--model`, an MLflow model that gives the probability of each class; `--scored`, a folder with `scored.csv`,
the held-out rows as the model scores them. The metrics of the held-out rows go to the job's run. With `--champion`, the
live model in MLflow's form, `--champion-scored` gets the same rows as that model scores them.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from results import load_model, log_metrics, save_model
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_score, recall_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--held-out", type=float, default=0.3, help="share of the rows that is not trained on")
    parser.add_argument("--c", type=float, default=1.0, help="inverse strength of the regularization")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scored", type=Path, required=True)
    parser.add_argument("--champion", type=Path)
    parser.add_argument("--champion-scored", type=Path)
    given = parser.parse_args()

    with given.data.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    place = header.index(given.label)
    names = [name for name in header if name != given.label]
    labels = np.array([row[place] for row in rows])
    cells = np.array([[float(cell) for at, cell in enumerate(row) if at != place] for row in rows])
    training, held_out = train_test_split(
        np.arange(len(rows)), test_size=given.held_out, random_state=1, stratify=labels
    )

    model = make_pipeline(StandardScaler(), LogisticRegression(C=given.c, max_iter=5000))
    model.fit(cells[training], labels[training])

    truth, positive = labels[held_out], str(model.classes_[-1])
    scored = model.predict_proba(cells[held_out])
    given_labels, probabilities = model.classes_[scored.argmax(axis=1)], scored[:, -1]
    log_metrics(
        {
            "roc_auc": roc_auc_score(truth == positive, probabilities),
            "accuracy": accuracy_score(truth, given_labels),
            "precision": precision_score(truth, given_labels, pos_label=positive, zero_division=0),
            "recall": recall_score(truth, given_labels, pos_label=positive),
            "f1_score": f1_score(truth, given_labels, pos_label=positive),
            "log_loss": log_loss(truth == positive, probabilities),
        }
    )
    save_model(model, names, cells[:1], given.model)
    tables = [(given.scored, scored)]
    if given.champion:
        tables.append((given.champion_scored, load_model(given.champion, names)(cells[held_out])))
    for folder, table in tables:
        write(folder, [*header, "prediction", "probability"], [rows[row] for row in held_out], model.classes_, table)
    print(f"trained on {len(training)} rows; {len(held_out)} held-out rows are scored")


def write(folder: Path, header: list[str], rows: list[list[str]], classes: Any, scored: Any) -> None:
    """Write `scored.csv`: each row with its label and its probability of the last class; `scored` has one a class."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "scored.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row, each in zip(rows, np.asarray(scored), strict=True):
            writer.writerow([*row, classes[each.argmax()], repr(float(each[-1]))])


if __name__ == "__main__":
    main()
