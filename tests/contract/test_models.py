"""Models: kept by content, touched, removed, and named by an endpoint."""

from __future__ import annotations

import hashlib

import pytest

from shared.base.errors import BadModel
from shared.domain import folders
from shared.domain.folders import PATH_AT_MOST, Files
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


FILES = {"MLmodel": b"flavors", "data/model.skops": b"weights", "data/empty": b""}


def files(contents: dict[str, bytes] = FILES) -> Files:
    return [(path, iter([content[:3], content[3:]])) for path, content in contents.items()]


def test_a_folder_is_one_model_whatever_the_order_of_its_files(models: Models) -> None:
    first = models.keep_folder(files())
    second = models.keep_folder(files(dict(reversed(FILES.items()))))
    assert first == second
    lines = "".join(f"{hashlib.sha256(FILES[path]).hexdigest()} {path}\n" for path in sorted(FILES))
    assert first == Model(sha256=hashlib.sha256(lines.encode()).hexdigest(), size=14, folder=True)
    assert [each.model for each in models.listed()] == models.find(first.sha256[:8]) == models.find(first.sha256)
    assert models.find(first.sha256) == [first]


def test_a_folder_with_other_names_or_contents_is_another_model(models: Models) -> None:
    kept = {
        models.keep_folder(files()),
        models.keep_folder(files({**FILES, "MLmodel": b"flavor"})),
        models.keep_folder(files({**FILES, "more": b""})),
        models.keep_folder(files({"moved" if path == "MLmodel" else path: each for path, each in FILES.items()})),
    }
    assert len(kept) == 4
    assert {each.model for each in models.listed()} == kept


def test_a_link_names_a_folder_and_nothing_within_it_does(models: Models) -> None:
    model, one = models.keep_folder(files()), models.keep(iter([b"model"]))
    link = models.link(model)
    assert link.is_folder
    assert models.identify(BlobReference(link.base, link.relative)) == model
    assert models.identify(BlobReference(link.base, link.relative), [one, model]) == model
    assert models.identify(BlobReference(link.base, link.relative.rstrip("/"))) is None
    assert models.identify(BlobReference(link.base, f"{link.relative}MLmodel")) is None
    assert models.identify(BlobReference(link.base, f"{link.relative.rstrip('/')}.json")) is None
    assert models.identify(models.link(Model(sha256=one.sha256, size=one.size, folder=True))) is None
    assert models.identify(models.link(one), [model]) == one


def test_a_folder_that_was_touched_since_is_not_removed_and_one_that_was_not_is(models: Models) -> None:
    model = models.keep_folder(files())
    [before] = models.listed()
    assert models.touch(model)
    assert not models.remove(before)
    [kept] = models.listed()
    assert kept.model == model
    assert models.remove(kept)
    assert not models.remove(kept)
    assert (models.find(model.sha256), models.touch(model)) == ([], False)
    assert models.keep_folder(files()) == model
    assert models.find(model.sha256) == [model]


@pytest.mark.parametrize(
    "path",
    ["../a", "a/../b", "/a", "a//b", "./a", "a/", "", "a\\b", "a\nb", "a./b", "a" * (PATH_AT_MOST + 1)],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(models: Models, path: str) -> None:
    with pytest.raises(BadModel, match="folder has"):
        models.keep_folder([("a", iter([b"a"])), (path, iter([b"b"]))])
    assert [*models.listed()] == []


def test_a_folder_needs_files_and_has_each_once_and_not_too_many(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadModel, match="has no file"):
        models.keep_folder([])
    with pytest.raises(BadModel, match="'a' twice"):
        models.keep_folder([("a", iter([b"a"])), ("a", iter([b"b"]))])
    monkeypatch.setattr(folders, "FILES_AT_MOST", 2)
    with pytest.raises(BadModel, match="one more than the 2 files"):
        models.keep_folder(files())
    monkeypatch.setattr(folders, "BYTES_AT_MOST", 10)
    with pytest.raises(BadModel, match="larger than 10 bytes"):
        models.keep_folder([("a", iter([b"a" * 6, b"a" * 6]))])
    assert [*models.listed()] == []
