"""Which cells are numbers, found for all cells of a text at once by NumPy, with one bit for each byte.

A bit is set where a cell can go on being a number, and moves along the text, 64 bytes at a time (after R. Cameron and
others, Bitwise data parallelism in regular expression matching, PACT 2014). A number in its common spellings is found
for sure. Another, such as 1e100 or one with spaces around, is OTHER, and has to be looked at by itself.
"""

from typing import Any, NamedTuple

EMPTY, INTEGER, NUMBER, OTHER = range(4)  #: what a cell is
_NUMBER_AT_MOST = 200  #: bytes of a number that is finite for sure, with two digits in its exponent


class Spelled(NamedTuple):
    """A bit for each byte of a text: whether a number that began with its cell ends before it; or a whole number."""

    numbers: Any
    integers: Any


def spelled(lines: bytes, before: Any, at_start: bool) -> Spelled:
    """Find the numbers in these lines.

    `before` is whether a byte is the last before a cell; `at_start` is whether a cell has the first byte.
    """
    import numpy as np

    text = np.frombuffer(lines, np.uint8)
    digits, points = _bits((text - np.uint8(ord("0"))) <= 9), _bits(text == ord("."))
    signs, begin = _bits(_signs(lines, text)), _bits(before)

    # A bit that is on a sign stays there too: it is neither a digit nor a point.
    at = _next(begin)
    at[0] |= at_start
    at |= _next(at & signs)
    integers = _behind(at & digits, digits)
    numbers = integers | _behind(_next(at & points) & digits | _next(integers & points), digits)
    at = numbers & ~(points | begin)
    # Most numbers have no exponent: then a cell ends behind each.
    if at.any() and (at := at & _bits(text | np.uint8(0x20) == ord("e"))).any():
        at = _next(at)
        at |= _next(at & signs)
        for _ in range(2):
            at = _next(at & digits)
            numbers |= at
    return Spelled(numbers, integers)


def kinds(found: Spelled, ends: Any, lengths: Any) -> Any:
    """Return of each cell what it is.

    The bytes at `ends` are those behind the cells. A cell of length 0 is empty, whatever is written there.
    """
    import numpy as np

    places, bits = ends >> 3, (ends & 7).astype(np.uint8)
    numbers, integers = (each.view(np.uint8).take(places) >> bits & 1 for each in found)
    kind = OTHER - numbers - integers
    if lengths.max(initial=0) > _NUMBER_AT_MOST:
        kind[lengths > _NUMBER_AT_MOST] = OTHER
    return kind * (lengths > 0)


def _signs(lines: bytes, text: Any) -> Any:
    """Return which bytes are a sign."""
    signs = text == ord("-")
    if b"+" in lines:
        signs |= text == ord("+")
    return signs


def _bits(mask: Any) -> Any:
    """Return the mask as bits of 64-bit numbers, the first of them the lowest; at least one more bit than the mask."""
    import numpy as np

    bits = np.zeros((len(mask) // 64 + 1) * 8, np.uint8)
    bits[: (len(mask) + 7) // 8] = np.packbits(mask, bitorder="little")
    return bits.view("<u8")


def _next(bits: Any) -> Any:
    """Move each bit to the next byte of the text."""
    import numpy as np

    moved = bits << np.uint64(1)
    moved[1:] |= bits[:-1] >> np.uint64(63)
    return moved


def _behind(bits: Any, run: Any) -> Any:
    """Move each bit that is on the first byte of a run to the byte behind that run; the others stay."""
    import numpy as np

    moved = (bits & run) + run
    carry = moved < run
    while carry[:-1].any():
        carried = carry[:-1].astype(np.uint64)
        moved[1:] += carried
        carry[1:] = moved[1:] < carried
        carry[0] = False
    return (moved | bits) & ~run
