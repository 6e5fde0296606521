"""The elements of a data set, read by allow-list and within bounds.

A separate parser, because it must not do what parsers do: it keeps nothing that is not
asked for, does not recurse, takes no length at its word, and never inflates without a bound.
Layout: DICOM PS3.5, section 7 (elements, sequences) and annex A (transfer syntaxes).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from endoexit.errors import ImageError
from endoexit.images.dicom.recognise import begin_of_data
from endoexit.images.refusals import MAX_BYTES, damaged

MAX_NESTING = 32
MAX_ELEMENTS = 500_000
_MAX_VALUE = 4 * 2**20  # bytes of one value that is kept
_MAX_RATIO, _MAX_START = 200, 2**20  # of inflated to deflated bytes

IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = (
    f"1.2.840.10008.1.2{tail}" for tail in ("", ".1", ".1.99", ".2")
)
PIXEL_DATA = 0x7FE00010
_OTHER_PIXELS = {0x7FE00008, 0x7FE00009}  # of floating point
_TRANSFER_SYNTAX = 0x00020010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}


@dataclass(frozen=True, slots=True)
class Element:
    """Where one element is.

    Attributes:
        tag: Group and element in one number, such as 0x7FE00010.
        vr: Value representation; empty where the data set does not give it.
        start: Position of its value.
        length: Length of its value in bytes; None where delimiters end it.
    """

    tag: int
    vr: bytes
    start: int
    length: int | None


@dataclass(frozen=True)
class DataSet:
    """What was read of a data set.

    Attributes:
        data: Content of the file, inflated.
        transfer_syntax: UID of the transfer syntax.
        big_endian: Whether numbers have their highest byte first.
        values: Value of each element that was asked for, by its tag.
        pixels: Element of the pixels; None where there is none.
        fragments: Position and length of each item in encapsulated pixels, the offset table first.
    """

    data: bytes
    transfer_syntax: str
    big_endian: bool
    values: dict[int, bytes]
    pixels: Element | None
    fragments: tuple[tuple[int, int], ...] = field(default=())


def read_data_set(data: bytes, wanted: frozenset[int]) -> DataSet:
    """Read the wanted elements of the uppermost level, up to the pixels.

    Args:
        data: Content of the file.
        wanted: Tags of the elements whose values are kept.

    Raises:
        ImageError: The data set is cut off, contradicts itself or is out of bounds.
    """
    start = begin_of_data(data)
    syntax, start = _read_meta(data, start)
    if syntax == DEFLATED:
        data, start = _inflated(data[start:]), 0
    walk = _Walk(data, big_endian=syntax == BIG_ENDIAN)
    values: dict[int, bytes] = {}
    for element in walk.upper(start, explicit=syntax != IMPLICIT):
        if element.tag in _OTHER_PIXELS:
            raise ImageError(
                "holds pixels of floating point, whose black and white are unknown: convert it "
                "to 8 or 16 bits.",
                kind="not supported",
            )
        if element.tag == PIXEL_DATA:
            fragments = () if element.length is not None else walk.fragments(element.start)
            return DataSet(data, syntax, walk.big_endian, values, element, fragments)
        if element.tag in wanted and element.length is not None and element.length <= _MAX_VALUE:
            values[element.tag] = data[element.start : element.start + element.length]
    return DataSet(data, syntax, walk.big_endian, values, None)


def _read_meta(data: bytes, start: int) -> tuple[str, int]:
    """Return the transfer syntax and where the data set begins."""
    walk, syntax, at = _Walk(data, big_endian=False), "", start
    if data[at : at + 2] == b"\x02\x00":
        for element in walk.upper(at, explicit=True):
            if element.tag >> 16 != 2 or element.length is None:
                break
            at = element.start + element.length
            if element.tag == _TRANSFER_SYNTAX:
                syntax = data[element.start : at].rstrip(b"\0 ").decode("ascii", "replace")
            if data[at : at + 2] != b"\x02\x00":
                break
    return syntax or _guessed(data[at : at + 6]), at


def _guessed(head: bytes) -> str:
    """Return the transfer syntax that the first element shows where no header names one."""
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if explicit and head[0] == 0:
        return BIG_ENDIAN
    return EXPLICIT if explicit else IMPLICIT


def _inflated(data: bytes) -> bytes:
    limit = min(MAX_BYTES, len(data) * _MAX_RATIO + _MAX_START)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflate.decompress(data, limit + 1)
    except zlib.error as error:
        raise damaged("its deflated data cannot be inflated") from error
    if len(inflated) > limit:
        raise ImageError(
            f"is deflated to less than 1/{_MAX_RATIO} of its size, which no image is: it was not "
            "inflated; remove it."
        )
    return inflated


class _Walk:
    """Goes through the elements of a data set without recursion."""

    def __init__(self, data: bytes, *, big_endian: bool) -> None:
        self.data, self.big_endian = data, big_endian
        order = ">" if big_endian else "<"
        self._tag = struct.Struct(f"{order}HH")
        self._short, self._long = struct.Struct(f"{order}H"), struct.Struct(f"{order}I")
        self._count = 0

    def upper(self, at: int, *, explicit: bool) -> Iterator[Element]:
        """Yield the elements of the uppermost level; a sequence is walked through to its end."""
        while at < len(self.data):
            element = self.element(at, explicit=explicit)
            yield element
            if element.vr == b"SQ" or element.length is None:
                at = self._past_sequence(element, explicit=explicit)
            else:
                at = element.start + element.length

    def element(self, at: int, *, explicit: bool) -> Element:
        """Return the element whose header is at a position."""
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise ImageError(f"has more than {MAX_ELEMENTS} elements: it was not read; remove it.")
        try:
            group, number = self._tag.unpack_from(self.data, at)
            tag, vr = group << 16 | number, b""
            if not explicit or group == 0xFFFE:
                (length,), start = self._long.unpack_from(self.data, at + 4), at + 8
            else:
                vr = self.data[at + 4 : at + 6]
                if not (vr.isalpha() and vr.isupper()):
                    raise damaged("an element has no value representation")
                long = vr in _LONG
                form, place = (self._long, at + 8) if long else (self._short, at + 6)
                (length,), start = form.unpack_from(self.data, place), place + form.size
        except struct.error as error:
            raise damaged("the data set ends inside an element") from error
        if length == _UNDEFINED and (not vr or vr in _LONG):
            return Element(tag, vr, start, None)
        if start + length > len(self.data):
            raise damaged("the data set ends inside an element")
        return Element(tag, vr, start, length)

    def fragments(self, at: int) -> tuple[tuple[int, int], ...]:
        """Return position and length of each item of encapsulated pixels."""
        items: list[tuple[int, int]] = []
        while True:
            item = self.element(at, explicit=False)
            if item.tag == _SEQUENCE_END:
                return tuple(items)
            if item.tag != _ITEM or item.length is None:
                raise damaged("the fragments of its pixels are not in items")
            items.append((item.start, item.length))
            at = item.start + item.length

    def _past_sequence(self, element: Element, *, explicit: bool) -> int:
        """Return the position after a sequence, having looked how deep it nests."""
        # What is open: whether it is a sequence or an item, its coding, and its end if it has one.
        at, open_ = element.start, [(True, *self._inside(element, explicit))]
        while open_:
            in_sequence, coded, end = open_[-1]
            if end is not None and at >= end:
                if at > end:
                    raise damaged("a sequence is longer than what holds it")
                open_.pop()
                continue
            inner = self.element(at, explicit=coded)
            at = inner.start
            if inner.tag == (_SEQUENCE_END if in_sequence else _ITEM_END):
                open_.pop()
            elif in_sequence:
                if inner.tag != _ITEM:
                    raise damaged("a sequence holds something that is not an item")
                open_.append((False, coded, self._end(inner)))
            elif inner.length is None or inner.vr == b"SQ":
                open_.append((True, *self._inside(inner, coded)))
            else:
                at += inner.length
            if len(open_) > 2 * MAX_NESTING:
                raise ImageError(
                    f"nests sequences more than {MAX_NESTING} deep: it was not read; remove it."
                )
        return at

    def _inside(self, element: Element, explicit: bool) -> tuple[bool, int | None]:
        """Return how elements inside a sequence are coded, and where it ends."""
        return explicit and element.vr != b"UN", self._end(element)

    @staticmethod
    def _end(element: Element) -> int | None:
        return None if element.length is None else element.start + element.length
