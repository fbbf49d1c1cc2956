"""Whose calls the local Azure Machine Learning workspace answers, and what the others get."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from aml.identity import tokens
from aml.identity.authority import AUTHORITY, SERVER, write_certificates
from aml.server import MOST
from aml.throttling import LIMITS, Buckets
from tests.support.aml import ADDRESS, MODEL, PORT, Here, refusal
from tests.support.asgi import ask


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "aml")


def token_for(here: Here, resource: str, header: str | None = None) -> str:
    """Return the token that the managed-identity endpoint gives for the resource."""
    given = {"X-IDENTITY-HEADER": here.workspace.identity.identity_header if header is None else header}
    answer = ask(here.app, "GET", f"/msi/token?api-version=2019-08-01&resource={resource}", given, [], PORT)
    if answer.status != 200:
        refusal(answer)
        return ""
    body = answer.json
    assert set(body) >= {"access_token", "expires_on", "resource", "token_type"}
    assert int(body["expires_on"]) > time.time()
    return str(body["access_token"])


def test_the_identity_endpoint_gives_tokens_that_open_the_workspace(here: Here) -> None:
    for resource in ("https://management.azure.com", "https://management.core.windows.net/", f"{ADDRESS}/"):
        assert here.call("GET", "", token=token_for(here, resource)).status == 200


def test_the_identity_endpoint_gives_nothing_without_its_header(here: Here) -> None:
    assert token_for(here, "https://management.azure.com", "wrong") == ""
    assert token_for(here, "https://management.azure.com", "") == ""


def test_a_token_for_another_resource_opens_nothing(here: Here) -> None:
    answer = here.call("GET", "", token=token_for(here, "https://storage.azure.com"))
    assert refusal(answer) == (401, "InvalidAuthenticationToken")


def test_a_token_of_another_workspace_and_a_changed_one_open_nothing(here: Here, tmp_path: Path) -> None:
    other = Here(tmp_path / "other")
    head, content, signature = here.token.split(".")
    for token in (other.token, f"{head}.{content}.", f"{head}.{content}x.{signature}", "x", "a.b.c", "ü"):
        assert refusal(here.call("GET", "", token=token)) == (401, "InvalidAuthenticationToken")
    assert refusal(here.call("GET", "", token="")) == (401, "AuthenticationFailed")


def test_an_expired_token_opens_nothing(here: Here) -> None:
    token, _ = tokens.issue(here.workspace.identity, "https://management.azure.com", -1)
    assert refusal(here.call("GET", "", token=token)) == (401, "ExpiredAuthenticationToken")


def test_calls_by_another_host_or_another_sites_page_are_refused(here: Here) -> None:
    secret = {"Authorization": f"Bearer {here.token}"}
    place = f"{here.workspace.id}?api-version=2025-12-01"
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = ask(here.app, "GET", place, {**secret, **headers}, [], PORT)
        assert answer.status == 403
        refusal(answer)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(here: Here) -> None:
    parts = (b"x" * (1 << 20) for _ in range(200))
    place = f"{here.workspace.id}/models/a/versions/1?api-version=2025-12-01"
    answer = ask(here.app, "PUT", place, {"Authorization": f"Bearer {here.token}"}, parts, PORT)
    assert refusal(answer) == (413, "RequestEntityTooLarge")
    assert answer.taken <= (MOST >> 20) + 1


def test_without_a_token_no_part_of_a_body_is_read(here: Here) -> None:
    parts = (b"x" for _ in range(20))
    place = f"{here.workspace.id}/models/a/versions/1?api-version=2025-12-01"
    assert ask(here.app, "PUT", place, {}, parts, PORT).taken == 0


def test_what_is_not_there_is_answered_in_the_documented_shape(here: Here) -> None:
    assert refusal(here.call("GET", "/nowhere")) == (404, "InvalidResourceType")
    assert refusal(here.call("PATCH", "models")) == (405, "MethodNotAllowed")
    group, place = f"/subscriptions/{here.workspace.identity.subscription}/resourceGroups", "/providers/"
    other = here.workspace.id.replace("/local", "/other")
    assert refusal(here.call("GET", other)) == (404, "ResourceNotFound")
    assert refusal(here.call("GET", f"{group}/other{place}{here.workspace.id.split(place)[1]}")) == (
        404,
        "ResourceGroupNotFound",
    )
    assert refusal(here.call("GET", f"/subscriptions/0{place}{here.workspace.id.split(place)[1]}s")) == (
        404,
        "InvalidResourceType",
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"[" * 100_000, b'{"properties": 1}', b"\xff\xfe{"])
def test_a_body_that_is_not_a_resource_is_refused(here: Here, body: bytes) -> None:
    assert refusal(here.call("PUT", "models/income/versions/1", body))[0] == 400
    assert here.names("models") == []


def test_more_calls_than_the_service_takes_are_throttled_with_the_seconds_to_wait(tmp_path: Path) -> None:
    moment = 0.0
    here = Here(tmp_path / "aml", buckets=Buckets(LIMITS, lambda: moment))
    answers = [here.call("DELETE", "models/a") for _ in range(201)]
    assert [each.status for each in answers[:200]] == [204] * 200
    assert answers[199].headers["x-ms-ratelimit-remaining-subscription-deletes"] == "0"
    assert refusal(answers[200]) == (429, "ResourceRequestsThrottled")
    assert answers[200].headers["retry-after"] == "1"
    assert here.call("GET", "").status == 200  # each kind has its own bucket
    moment = 1.0
    assert [here.call("DELETE", "models/a").status for _ in range(11)] == [204] * 10 + [429]


def test_the_certificates_are_made_once_and_their_keys_are_the_owners_alone(here: Here) -> None:
    authority = here.workspace.identity.authority
    folder = here.workspace.folder
    first = write_certificates(folder, authority, ["127.0.0.1"])[0].read_bytes()
    assert write_certificates(folder, authority, ["127.0.0.1"])[0].read_bytes() == first
    assert b"PRIVATE KEY" not in (folder / AUTHORITY).read_bytes()
    assert (folder / SERVER).stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_no_answer_and_no_record_as_text_has_a_secret(here: Here) -> None:
    known = here.workspace.identity
    here.put("models/income/versions/1", **MODEL)
    answers = [here.call("GET", path) for path in ("", "datastores", "models/income", "computes", "/discovery")]
    shown = json.dumps([each.json for each in answers]) + repr(known)
    for secret in (known.token_secret, known.identity_header, "PRIVATE KEY"):
        assert secret not in shown
