"""Several files as one table: whether they are one, and that table as a stream. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shared.base.errors import HeadersDiffer

_BOM = b"\xef\xbb\xbf"
_HEADER_AT_MOST = 1 << 20  #: bytes
_NAME_AT_MOST = 200  #: characters of a file's name that are kept

File = tuple[str, Iterator[bytes]]  #: name and content


def joined(files: Sequence[File]) -> Iterator[bytes]:
    """Yield the one table: the header once, and every file's last line ended. Raises as `check_headers` does."""
    _check_forms([name for name, _ in files])
    first = True
    for header, rest in _parted(files):
        if first and header:
            yield header + b"\n"
        first, last = False, b"\n"
        for chunk in rest:
            yield chunk
            last = chunk[-1:] or last
        if last != b"\n":
            yield b"\n"


def check_headers(files: Sequence[File]) -> None:
    """Raise `HeadersDiffer` when a file has another header or form than the first. Only the headers are read."""
    _check_forms([name for name, _ in files])
    for _ in _parted(files):
        pass


def name_in_folder(number: int, path: str) -> str:
    """Return the name of a batch's file in its folder: numbered, as two may have one name, and their order counts."""
    sign = f"{number:06}-"
    name = path.rpartition("/")[2].removeprefix(sign)  # what a folder goes on with is numbered there already
    return f"{sign}{name[-_NAME_AT_MOST:]}"


def _check_forms(names: Sequence[str]) -> None:
    suffixes = {_suffix(name) for name in names}
    if len(suffixes) > 1 or (suffixes == {".arff"} and len(names) > 1):
        raise HeadersDiffer(f"Files of {' and '.join(sorted(suffixes))} cannot be joined into one table")


def _parted(files: Iterable[File]) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """Yield each file's header, which is that of the first, and what comes behind it."""
    first: tuple[str, bytes] | None = None
    for name, chunks in files:
        header, rest = (b"", chunks) if _suffix(name).startswith(".nh.") else _split(name, chunks)
        if first is None:
            first = (name, header)
        elif header.rstrip(b"\r") != first[1].rstrip(b"\r"):
            raise HeadersDiffer(f"The header of {name} is {_shown(header)}; that of {first[0]} is {_shown(first[1])}")
        yield header, rest


def _split(name: str, chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the header's line without its end, and what comes behind it."""
    head = b""
    for chunk in chunks:
        head += chunk
        if b"\n" in head:
            line, _, begun = head.partition(b"\n")
            return line.removeprefix(_BOM), _continued(begun, chunks)
        if len(head) > _HEADER_AT_MOST:
            raise HeadersDiffer(f"{name} has no end of its header's line within {_HEADER_AT_MOST} bytes")
    return head.removeprefix(_BOM), iter(())


def _continued(begun: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if begun:
        yield begun
    yield from chunks


def _suffix(name: str) -> str:
    """Return `.csv` or `.nh.csv`, in lower case."""
    parts = name.rsplit("/", 1)[-1].lower().split(".")
    return "." + ".".join(parts[-2:] if parts[-2:-1] == ["nh"] else parts[-1:])


def _shown(header: bytes) -> str:
    return repr(header.decode("utf-8", "replace")[:200])
