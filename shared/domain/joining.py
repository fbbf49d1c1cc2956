"""Several files as one table: whether they are one, and that table as a stream. No I/O."""

from collections.abc import Iterator, Sequence

from shared.base.errors import HeadersDiffer
from shared.domain.table import Table, Unreadable

_NAME_AT_MOST = 200  #: characters of a file's name that are kept
_SHOWN = 200  #: characters of a header that a message repeats

File = tuple[str, Iterator[bytes]]  #: name and content


def joined(files: Sequence[File]) -> Iterator[bytes]:
    """Yield the one table: the header once, and every file's last line ended. Raises as `check_headers` does."""
    for number, table in enumerate(_tables(files)):
        if not number and not table.form.headless:
            yield table.header.raw.removesuffix(b"\n") + b"\n"
        last = b"\n"
        for lines in table.rest():
            yield lines
            last = lines[-1:]
        yield b"" if last == b"\n" else b"\n"


def check_headers(files: Sequence[File]) -> None:
    """Raise `HeadersDiffer` when a file has other names or another form than the first. Only the headers are read."""
    for _ in _tables(files):
        pass


def name_in_folder(number: int, path: str) -> str:
    """Return the name of a batch's file in its folder: numbered, as two may have one name, and their order counts."""
    sign = f"{number:06}-"
    name = path.rpartition("/")[2].removeprefix(sign)  # what a folder goes on with is numbered there already
    return f"{sign}{name[-_NAME_AT_MOST:]}"


def _tables(files: Sequence[File]) -> Iterator[Table]:
    """Yield each file's table, with the names read, which are those of the first."""
    suffixes = {_suffix(name) for name, _ in files}
    if len(suffixes) > 1 or (suffixes == {".arff"} and len(files) > 1):
        raise HeadersDiffer(f"Files of {' and '.join(sorted(suffixes))} cannot be joined into one table")
    first: Table | None = None
    for name, chunks in files:
        try:
            table = Table(name, chunks)
        except Unreadable as error:
            raise HeadersDiffer(error.message) from None
        first = first or table
        if table.names != first.names:
            raise HeadersDiffer(f"{name} has {_shown(table)}, but {first.name} has {_shown(first)}")
        yield table


def _suffix(name: str) -> str:
    """Return `.csv` or `.nh.csv`, in lower case."""
    parts = name.rsplit("/", 1)[-1].lower().split(".")
    return "." + ".".join(parts[-2:] if parts[-2:-1] == ["nh"] else parts[-1:])


def _shown(table: Table) -> str:
    if table.form.headless:
        return f"{len(table.names)} column{'s' * (len(table.names) > 1)}"
    header = table.header.raw.decode()[:_SHOWN].rstrip("\r\n")
    return f"the header {header!r}"
