"""What entries of both services have alike: what Data Factory does not know, parameters, and times."""

import re
from collections.abc import Mapping
from typing import Any

from shared.adf.artefacts import Activity, Expression, Text, read_text
from shared.adf.report import Report
from shared.adf.translation import duration, is_secret, words

Entry = dict[str, Any]


def gate_and_proof(report: Report, key: str) -> tuple[Entry, Entry]:
    """Return the gate and the proof, whose rules and rows a person has to give."""
    rule = report.fill_in(
        f"{key}.gate.rules",
        "RULE",
        "when a model is good enough, for example AUC >= 0.85; a rule that names the champion needs gate.baseline too, "
        "the metrics of the model that is live now",
    )
    rows = report.fill_in(
        f"{key}.proof.rows", "ROWS_FILE", "a CSV file beside pipelines.yaml: a header and 1 to 100 rows"
    )
    return {"rules": [rule]}, {"rows": rows}


def parameters(report: Report, activity: Activity, given: Mapping[str, Any], member: str, key: str) -> dict[str, str]:
    """Return the parameters as texts. `member` is where the activity has them, `key` where the entry has them."""
    found: dict[str, str] = {}
    for name, value in given.items():
        where = f"{activity.where}: {member}.{name}"
        text = _text(value)
        if value is None:
            report.leave(f"{where}: has no value")
        elif isinstance(text, Expression):
            report.leave(f"{where}: an expression of Data Factory")
            sign = re.sub(r"[^A-Z0-9]+", "_", words(name).upper()).strip("_") or "PARAMETER"
            found[name] = report.fill_in(f"{key}.parameters.{name}", sign, "the value that Data Factory computed")
        elif is_secret(name, text) or "${" in text:
            # A '${' of its own would be taken for a setting when the file is read.
            found[name] = report.setting(f"{activity.service or activity.name}_{name}", where)
        else:
            found[name] = text
    return found


def limits(report: Report, activity: Activity) -> dict[str, str]:
    if activity.timeout is None:
        return {}
    limit = duration(activity.timeout) if isinstance(activity.timeout, str) else None
    if limit is None:
        report.leave(
            f"{activity.where}: policy.timeout: is not a plain time span; the entry has 6h waiting and 4h running"
        )
        return {}
    report.leave(f"{activity.where}: policy.timeout: held for waiting and running together; here each has {limit}")
    return {"waiting": limit, "running": limit}


def _text(value: object) -> Text:
    """Return the value as the text that a parameter is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return read_text(value) or (Expression("") if not isinstance(value, str) else "")
