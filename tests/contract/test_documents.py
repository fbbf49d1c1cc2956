"""Documents: conditional writes, leases, deletes and listings."""

from __future__ import annotations

import pytest

from shared.base.errors import Busy, RecordChanged
from shared.domain.ports import Documents
from tests.contract.conftest import DocumentStore

NAME = "champions/income.json"


@pytest.fixture
def documents(store: DocumentStore) -> Documents:
    return store.documents


def created(documents: Documents, name: str = NAME, content: bytes = b"first") -> str:
    etag = documents.create(name, content)
    assert etag is not None
    return etag


def content(documents: Documents) -> bytes | None:
    document = documents.read(NAME)
    return document.content if document else None


def test_a_document_is_created_once(documents: Documents) -> None:
    assert documents.read(NAME) is None
    etag = created(documents)
    assert documents.create(NAME, b"second") is None
    document = documents.read(NAME)
    assert document is not None
    assert (document.content, document.etag, document.held) == (b"first", etag, False)


def test_a_write_needs_the_version_that_was_read(documents: Documents) -> None:
    first = created(documents)
    second = documents.replace(NAME, b"second", first)
    assert second != first
    with pytest.raises(RecordChanged):
        documents.replace(NAME, b"late", first)
    assert content(documents) == b"second"
    documents.replace(NAME, b"third", second)
    assert content(documents) == b"third"


def test_a_document_that_was_deleted_is_not_written(documents: Documents) -> None:
    etag = created(documents)
    documents.delete(NAME)
    with pytest.raises(RecordChanged):
        documents.replace(NAME, b"second", etag)
    assert documents.read(NAME) is None


def test_a_delete_of_an_earlier_version_deletes_nothing(documents: Documents) -> None:
    first = created(documents)
    second = documents.replace(NAME, b"second", first)
    with pytest.raises(RecordChanged):
        documents.delete(NAME, first)
    assert content(documents) == b"second"
    documents.delete(NAME, second)
    assert documents.read(NAME) is None


def test_a_list_shows_the_content_of_what_was_created_to_be_shown_and_is_small(documents: Documents) -> None:
    assert list(documents.shown("active/")) == []
    assert documents.create("active/a.json", "é\n".encode(), shown=True)
    assert documents.create("active/a.json", b"second", shown=True) is None
    created(documents, "active/b.json")
    assert documents.create("active/c.json", bytes(100_000), shown=True)
    assert list(documents.shown("active/")) == [
        ("active/a.json", "é\n".encode()),
        ("active/b.json", None),
        ("active/c.json", None),
    ]
    document = documents.read("active/a.json")
    assert document is not None
    documents.replace("active/a.json", b"other", document.etag)
    assert next(documents.shown("active/a")) == ("active/a.json", None)


def test_a_delete_of_a_missing_document_does_nothing(documents: Documents) -> None:
    created(documents, "champions/other.json")
    documents.delete(NAME)
    assert list(documents.names("champions/")) == ["champions/other.json"]


def test_a_listing_has_the_names_with_its_prefix_in_order(documents: Documents) -> None:
    assert list(documents.names("jobs/")) == []
    for name in ("jobs/b.json", "jobs/a.json", "jobs-old/c.json", "jobs/d/e.json"):
        created(documents, name)
    assert list(documents.names("jobs/")) == ["jobs/a.json", "jobs/b.json", "jobs/d/e.json"]
    assert [name for name, _ in documents.latest("jobs-")] == ["jobs-old/c.json"]


def test_one_run_at_a_time_holds_a_document(documents: Documents) -> None:
    created(documents)
    with documents.lease(NAME):
        with pytest.raises(Busy), documents.lease(NAME):
            pass
        document = documents.read(NAME)
        assert document is not None
        assert document.held
    with documents.lease(NAME):
        pass


def test_a_document_that_changed_since_it_was_read_is_not_leased(documents: Documents) -> None:
    first = created(documents)
    second = documents.replace(NAME, b"second", first)
    with pytest.raises(RecordChanged), documents.lease(NAME, first):
        pass
    with documents.lease(NAME, second) as lease:
        documents.replace(NAME, b"third", second, lease)


def test_only_the_holder_of_the_lease_writes_and_deletes(documents: Documents) -> None:
    first = created(documents)
    with documents.lease(NAME) as lease:
        with pytest.raises(Busy):
            documents.replace(NAME, b"from outside", first)
        with pytest.raises(Busy):
            documents.delete(NAME, first)
        second = documents.replace(NAME, b"second", first, lease)
        with pytest.raises(RecordChanged):
            documents.replace(NAME, b"late", first, lease)
    assert content(documents) == b"second"
    documents.replace(NAME, b"third", second)


def test_a_run_that_lost_its_lease_neither_renews_nor_writes(store: DocumentStore) -> None:
    documents = store.documents
    first = created(documents)
    with documents.lease(NAME) as slow:
        store.break_lease(NAME)
        with pytest.raises(Busy):
            slow.renew()
        with pytest.raises(Busy):
            documents.replace(NAME, b"late", first, slow)
        with documents.lease(NAME) as other:
            with pytest.raises(Busy):
                slow.renew()
            with pytest.raises(Busy):
                documents.replace(NAME, b"late", first, slow)
            other.renew()
            documents.replace(NAME, b"second", first, other)
    assert content(documents) == b"second"


def test_a_document_whose_lease_ran_out_is_held_until_the_next_run_gives_it_back(store: DocumentStore) -> None:
    documents = store.documents
    created(documents)
    with documents.lease(NAME):
        store.break_lease(NAME)
        document = documents.read(NAME)
        assert document is not None
        assert document.held


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.storage.documents.LEASE_SECONDS", 15)  # the storage takes no shorter ones


@pytest.mark.usefixtures("short_leases")
def test_a_lease_that_ran_out_is_renewed_only_while_nobody_wrote(store: DocumentStore) -> None:
    """So who could renew has not been overtaken: a change of models needs no other proof of that."""
    documents = store.documents
    first = created(documents)
    with documents.lease(NAME) as slow:
        store.expire(NAME)
        slow.renew()
        second = documents.replace(NAME, b"second", first, slow)
        store.expire(NAME)
        with documents.lease(NAME) as other:
            documents.replace(NAME, b"third", second, other)
        with pytest.raises(Busy):
            slow.renew()
    assert content(documents) == b"third"
