"""Train a classifier on a CSV file with a header: the training job of the samples.

Outputs: `--model`, an MLflow model that gives the probability of each class; `--scored`, a folder with `scored.csv`,
the held-out rows as the model scores them. The metrics of the held-out rows go to the job's run.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from results import log_metrics, save_model
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
    given_labels, probabilities = model.predict(cells[held_out]), model.predict_proba(cells[held_out])[:, -1]
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
    given.scored.mkdir(parents=True, exist_ok=True)
    with (given.scored / "scored.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "prediction", "probability"])
        for row, label, probability in zip(held_out, given_labels, probabilities, strict=True):
            writer.writerow([*rows[row], label, repr(float(probability))])
    print(f"trained on {len(training)} rows; {len(held_out)} held-out rows are scored")


if __name__ == "__main__":
    main()
