"""What bytes are when they are not the UTF-8 text that they should be."""

BOM = b"\xef\xbb\xbf"
HEAD = 4096  #: bytes that show what a file is
_SIGNATURES = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16 (little-endian, by its byte order mark)"),
    (b"\xfe\xff", "UTF-16 (big-endian, by its byte order mark)"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PAR1", "a Parquet file"),
)


def named(head: bytes) -> str | None:
    """Return what a file is that starts like this, or None where it may be UTF-8 text."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature) and len(head) > len(signature):
            return name
    pairs = len(head) // 2
    if pairs >= 2 and head.count(0) * 3 > pairs:
        # Western text in UTF-16 has a zero in almost every second byte.
        odd, even = head[1::2].count(0), head[::2].count(0)
        if max(odd, even) > 4 * min(odd, even):
            return f"UTF-16 ({'little' if odd > even else 'big'}-endian, without a byte order mark)"
    return None


def guess(text: bytes, byte: int) -> str:
    """Return what a text seems to be whose byte is not UTF-8, as a part of a sentence."""
    if any(0x80 <= each < 0xA0 for each in text):
        try:
            return f"read as Windows-1252 it is {bytes([byte]).decode('cp1252')!r}"
        except UnicodeDecodeError:
            return "it is not a Latin-1 or Windows-1252 text either"
    return f"read as Latin-1 it is {chr(byte)!r}"
