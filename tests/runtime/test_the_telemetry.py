"""OpenTelemetry, switched on as the templates do it: Microsoft's runtime and exporter send what the app did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from local import deployed
from local.children import ROOT
from local.datasets import as_csv
from local.workplace import Workplace
from tests.support.certificates import self_signed
from tests.support.flow import Flow
from tests.support.identity import Endpoint, identity_endpoint
from tests.support.insights import Receiver, receiver
from tests.support.runtime import MISSING, PYTHON, Runtime, runtime
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(PYTHON is None, reason=MISSING)

#: soon, and all of it: otherwise five traces a second are sent, some seconds later
EVERYTHING = {"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BLRP_SCHEDULE_DELAY": "200", "OTEL_TRACES_SAMPLER": "always_on"}


@pytest.fixture
def sent(workplace: Workplace, tmp_path: Path) -> Iterator[tuple[Runtime, Receiver, Endpoint]]:
    certificate = self_signed(tmp_path)
    by_identity = deployed.settings(ROOT)["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]
    with identity_endpoint() as identity, receiver(certificate) as insights:
        settings = {
            **workplace.settings,
            **deployed.settings(ROOT, "telemetry"),
            **identity.settings,
            **EVERYTHING,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": insights.connection,
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": by_identity,
            "TRUSTED_CERTIFICATE": str(certificate[0]),
            "REQUESTS_CA_BUNDLE": str(certificate[0]),
            "PYTHONPATH": str(ROOT / "tests" / "support" / "trusting"),
            "TMPDIR": str(tmp_path),
        }
        with runtime(settings) as running:
            yield running, insights, identity


def test_log_lines_and_calls_are_sent_by_identity_and_without_a_secret(
    sent: tuple[Runtime, Receiver, Endpoint], workplace: Workplace
) -> None:
    running, insights, identity = sent
    flow = Flow(workplace)
    path = workplace.drop("new.csv", as_csv(workplace.header, workplace.rows[:400]))
    assert running.blob("elsewhere", path)["succeeded"]
    assert running.blob(workplace.container, path)["succeeded"]

    def polled(function: str) -> bool:
        assert running.timer(function)["succeeded"]
        return bool(flow.app.records.jobs.active())

    until(lambda: polled("take_up_data"), flow.arrivals)
    [job_id] = flow.app.records.jobs.active()
    until(lambda: polled("poll_jobs") and flow.job(job_id).verdict is not None, lambda: flow.job(job_id))

    def called(method: str, end: str) -> int:
        spans = [each for each in insights.of_kind("RemoteDependencyData") if each["name"].startswith(f"{method} ")]
        return sum(urlsplit(each["data"]).path.endswith(end) for each in spans)

    until(lambda: called("PUT", f"/retraining/jobs/{job_id}.json") > 1, lambda: insights.items)
    assert called("POST", "/jobs") == 1
    assert called("PUT", f"/retraining/active/jobs/{job_id}.json") == 1
    lines = {each["message"]: each["properties"]["logger_name"] for each in insights.of_kind("MessageData")}
    assert lines[f"'elsewhere'/{path!r} is in another container than TRAINING_DATA_PATH names"] == "relearn.triggers"
    assert {name.split(".")[0] for name in lines.values()} == {"relearn"}

    assert {client for client, _ in identity.asked} == {deployed.settings(ROOT)["RETRAINING_STORE__clientId"]}
    assert {resource.rstrip("/") for _, resource in identity.asked} == {"https://monitor.azure.com"}
    assert insights.tokens
    assert all(each.startswith("Bearer ") for each in insights.tokens)

    text = json.dumps(insights.items)
    signed = [parse_qs(urlsplit(each["data"]).query) for each in insights.of_kind("RemoteDependencyData")]
    assert {"REDACTED"} == {query["sig"][0] for query in signed if "sig" in query}
    hidden = [value for name, value in workplace.settings.items() if name.endswith(("_KEY", "_TOKEN"))]
    assert len(hidden) > 2
    assert [value for value in hidden if value in text] == []
    assert "AccountKey" not in text
