"""Models: kept by content, touched, removed, and named by an endpoint."""

from __future__ import annotations

from shared.domain.jobs import Model
from shared.domain.ports import BlobReference, Models

OTHER = Model(sha256="0" * 64, size=1)


def test_the_same_content_is_one_model(models: Models) -> None:
    assert list(models.listed()) == []
    first, second = models.keep(iter([b"a", b"b"])), models.keep(iter([b"ab"]))
    assert first == second
    assert (first.size, [each.model for each in models.listed()]) == (2, [first])


def test_a_model_is_found_by_the_beginning_of_its_hash(models: Models) -> None:
    model = models.keep(iter([b"model"]))
    assert models.find(model.sha256[:8]) == models.find(model.sha256) == [model]
    assert models.find("0" * 8) == []


def test_a_link_names_its_model_and_no_other_blob_does(models: Models) -> None:
    model = models.keep(iter([b"model"]))
    link = models.link(model)
    assert models.identify(BlobReference(link.base, link.relative)) == model
    assert models.identify(models.link(OTHER)) is None
    assert models.identify(models.link(OTHER), [OTHER]) == OTHER  # it is known, and not looked up
    assert models.identify(BlobReference("https://other.example/", link.relative)) is None


def test_a_model_is_removed_once(models: Models) -> None:
    model = models.keep(iter([b"model"]))
    [kept] = models.listed()
    assert models.remove(kept)
    assert not models.remove(kept)
    assert models.find(model.sha256) == []
    assert not models.touch(model)


def test_a_model_that_was_touched_since_is_not_removed(models: Models) -> None:
    model = models.keep(iter([b"model"]))
    [kept] = models.listed()
    assert models.touch(model)
    assert not models.remove(kept)
    models.keep(iter([b"model"]))
    assert [each.model for each in models.listed()] == [model]
