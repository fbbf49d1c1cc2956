"""Keys, signatures and connection strings appear in no text."""

from __future__ import annotations

import pytest

from shared.base.errors import ServiceUnavailable
from shared.base.secret import Secret
from shared.domain.blob_pattern import matches


@pytest.mark.parametrize(
    "text",
    [
        "GET https://store.example/c/b?sv=2015&sig=S3CRET%2Bx&se=2017",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=S3CRET==;EndpointSuffix=x",
        "Authorization: Bearer S3CRET",
        "https://app.example/runtime?code=S3CRET",
        "BlobEndpoint=https://x;SharedAccessSignature=S3CRET",
    ],
)
def test_an_error_message_loses_what_it_must_not_tell(text: str) -> None:
    assert "S3CRET" not in str(ServiceUnavailable(text))


def test_a_secret_has_no_readable_form_but_the_one_asked_for() -> None:
    secret = Secret("S3CRET")
    assert "S3CRET" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "S3CRET"


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("income/*.csv", "income/a.csv", True),
        ("income/*.csv", "income/2026/a.csv", False),
        ("income/**/*.csv", "income/2026/11/a.csv", True),
        ("income/**/*.csv", "income/a.csv", True),
        ("income/*.csv", "income-old/a.csv", False),
        ("income/*.csv", "Income/a.csv", False),
        ("income/2026-1?.csv", "income/2026-11.csv", True),
        ("a[1].csv", "a[1].csv", True),
    ],
)
def test_a_pattern_stays_within_its_folder_unless_two_stars_say_otherwise(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, path) is fits
