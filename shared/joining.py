"""Several files as one table, as a stream: the header once, and every file's last line ended. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.errors import HeadersDiffer

_BOM = b"\xef\xbb\xbf"
_HEADER_AT_MOST = 1 << 20  #: bytes

File = tuple[str, Iterator[bytes]]  #: name and content


def joined(files: Sequence[File]) -> Iterator[bytes]:
    """Yield the one table. Raises `HeadersDiffer` when a file has another header or form than the first."""
    suffixes = {_suffix(name) for name, _ in files}
    if len(suffixes) > 1 or (suffixes == {".arff"} and len(files) > 1):
        raise HeadersDiffer(f"Files of {' and '.join(sorted(suffixes))} cannot be joined into one table")
    headless = suffixes <= {".nh.csv", ".nh.tsv"}
    first: tuple[str, bytes] | None = None
    for name, chunks in files:
        header, rest = (b"", chunks) if headless else _split(name, chunks)
        if first is None:
            first = (name, header)
            yield header + b"\n" if header else b""
        elif header.rstrip(b"\r") != first[1].rstrip(b"\r"):
            raise HeadersDiffer(f"The header of {name} is {_shown(header)}; that of {first[0]} is {_shown(first[1])}")
        last = b"\n"
        for chunk in rest:
            yield chunk
            last = chunk[-1:] or last
        if last != b"\n":
            yield b"\n"


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
