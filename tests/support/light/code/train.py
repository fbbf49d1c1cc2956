"""`python train.py DATA LABEL MODEL SCORED`: train on a CSV file; keep the model, its metrics and the scored rows."""

from __future__ import annotations

import csv
import json
import os
import ssl
import sys
import time
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from linear import fit, probabilities, save


def main(data: str, label: str, model_folder: str, scored_folder: str) -> None:
    with Path(data).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    place, names = header.index(label), [name for name in header if name != label]
    cells = [[float(cell) for at, cell in enumerate(row) if at != place] for row in rows]
    classes = sorted({row[place] for row in rows})
    truth = [row[place] == classes[-1] for row in rows]
    held_out = {at for kind in (False, True) for at in [at for at, each in enumerate(truth) if each is kind][::3]}
    training = [at for at in range(len(rows)) if at not in held_out]
    model = fit(names, [cells[at] for at in training], [truth[at] for at in training])
    save(model, Path(model_folder))

    scored = sorted(held_out)
    found = [pair[1] for pair in probabilities(model, names, [cells[at] for at in scored])]
    given = [classes[-1] if share > 0.5 else classes[0] for share in found]
    Path(scored_folder).mkdir(parents=True, exist_ok=True)
    with (Path(scored_folder) / "scored.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "prediction", "probability"])
        writer.writerows([*rows[at], named, repr(share)] for at, named, share in zip(scored, given, found, strict=True))
    right = [rows[at][place] == named for at, named in zip(scored, given, strict=True)]
    log({"roc_auc": area([truth[at] for at in scored], found), "accuracy": sum(right) / len(right)})
    print(f"trained on {len(training)} rows; {len(scored)} held-out rows are scored")


def area(truth: list[bool], shares: list[float]) -> float:
    """Return the share of pairs, one row of each class, in which the positive row has the higher probability."""
    yes = [share for share, each in zip(shares, truth, strict=True) if each]
    no = [share for share, each in zip(shares, truth, strict=True) if not each]
    return sum((one > other) + (one == other) / 2 for one in yes for other in no) / (len(yes) * len(no))


def log(metrics: dict[str, float]) -> None:
    """Log the metrics to the job's run."""
    address, now = urlsplit(os.environ["MLFLOW_TRACKING_URI"]), int(time.time() * 1000)
    values = [{"key": name, "value": value, "timestamp": now, "step": 0} for name, value in metrics.items()]
    trusted = ssl.create_default_context(cafile=os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"])
    connection = HTTPSConnection(address.netloc, context=trusted, timeout=60)
    headers = {"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}", "Content-Type": "application/json"}
    body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], "metrics": values})
    connection.request("POST", f"{address.path}/api/2.0/mlflow/runs/log-batch", body, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(f"the metrics were answered {answer.status}: {answer.read(300)!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
