"""What the pixels of a DICOM object are: attributes by allow-list, checked before any pixel."""

import math
import struct
from typing import Self

from endoexit.errors import ImageError
from endoexit.images.dicom.codecs import Form
from endoexit.images.dicom.elements import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, DataSet
from endoexit.images.refusals import check_size, damaged, unsupported

MAX_SIDE = 20_000
MAX_PIXELS = 50_000_000
MAX_FRAMES = 100_000

SOP_CLASS = 0x00080016
FRAMES = 0x00280008
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002
_SAMPLES, _PHOTOMETRIC, _PLANAR = 0x00280002, 0x00280004, 0x00280006
_ROWS, _COLUMNS = 0x00280010, 0x00280011
_ALLOCATED, _STORED, _HIGH_BIT, _SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
PALETTE_FORM, PALETTE_VALUES = (
    tuple(first + colour for colour in range(3)) for first in (0x00281101, 0x00281201)
)

# All that is ever read of an object to show it. No name, date, UID or text of a person or place.
ALLOWED = frozenset({
    SOP_CLASS, FRAMES, EXTENDED_OFFSETS, EXTENDED_LENGTHS, _SAMPLES, _PHOTOMETRIC, _PLANAR,
    _ROWS, _COLUMNS, _ALLOCATED, _STORED, _HIGH_BIT, _SIGNED, *PALETTE_FORM, *PALETTE_VALUES,
})  # fmt: skip

_NATIVE = {IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN}
_COLOURS = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1,
    "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_PARTIAL_420": 3, "YBR_RCT": 3, "YBR_ICT": 3,
}  # fmt: skip
_UNMIXED, _COMPRESSED = {"YBR_FULL", "YBR_FULL_422"}, {"YBR_PARTIAL_420", "YBR_RCT", "YBR_ICT"}


class Header(Form):
    """The form of the pixels as the object claims it, within bounds."""

    @classmethod
    def of(cls, data_set: DataSet) -> Self:
        """Return the header of a data set that has pixels.

        Raises:
            ImageError: An attribute is missing, out of bounds, or of a kind that is not supported.
        """
        read = _Values(data_set)
        header = cls(
            transfer_syntax=data_set.transfer_syntax,
            rows=read.number(_ROWS),
            columns=read.number(_COLUMNS),
            frames=read.frames(),
            samples=read.number(_SAMPLES),
            allocated=read.number(_ALLOCATED),
            stored=read.number(_STORED, read.number(_ALLOCATED)),
            photometric=read.text(_PHOTOMETRIC),
            planar=read.number(_PLANAR, 0) == 1,
        )
        header._check_bounds()
        if fault := header._fault(read):
            raise unsupported("DICOM object", fault)
        header._check_plausible(data_set)
        return header

    @property
    def native(self) -> bool:
        """Whether the pixels are not compressed."""
        return self.transfer_syntax in _NATIVE

    @property
    def frame_bytes(self) -> int:
        """Length of one frame that is not compressed, in bytes."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return math.prod((self.rows, self.columns, samples, self.allocated // 8))

    def _check_bounds(self) -> None:
        if max(self.rows, self.columns) > MAX_SIDE or self.rows * self.columns > MAX_PIXELS:
            raise ImageError(
                f"is too large: its header announces {self.columns}×{self.rows} pixels, of DICOM "
                f"{MAX_PIXELS // 10**6} megapixels and sides of {MAX_SIDE} are decoded; scale it "
                "down or remove it."
            )
        check_size(self.columns, self.rows)
        if not 1 <= self.frames <= MAX_FRAMES:
            raise ImageError(
                f"announces {self.frames} frames, of DICOM 1 to {MAX_FRAMES} are read: correct its "
                "number of frames, or split it."
            )

    def _fault(self, read: "_Values") -> str | None:
        """Return the property for which the pixels are not read, None if they are read."""
        return self._fault_of_colours() or self._fault_of_values(read)

    def _fault_of_colours(self) -> str | None:
        if self.photometric not in _COLOURS:
            return "an unknown photometric interpretation"
        if self.samples != _COLOURS[self.photometric]:
            return f"{self.samples} values a pixel for {self.photometric}"
        if self.photometric in _UNMIXED and self.allocated > 8:
            return f"{self.photometric} of {self.allocated} bits"
        if self.photometric in _COMPRESSED and self.native:
            return f"{self.photometric} without compression"
        return None

    def _fault_of_values(self, read: "_Values") -> str | None:
        if self.allocated not in (8, 16) or not 1 <= self.stored <= self.allocated:
            return f"{self.stored} of {self.allocated} bits a value"
        if self.native and read.number(_HIGH_BIT, self.stored - 1) != self.stored - 1:
            return "bits that do not begin with the lowest"
        return "signed values" if read.number(_SIGNED, 0) else None

    def _check_plausible(self, data_set: DataSet) -> None:
        """Refuse a number of frames for which there are not enough data."""
        pixels = data_set.pixels
        length = None if pixels is None else pixels.length
        if self.native and length is None:
            raise damaged("pixels that are not compressed come in fragments")
        enough = (
            length >= self.frames * self.frame_bytes
            if self.native and length is not None
            else len(data_set.fragments) > (self.frames if self._frame_a_fragment else 1)
        )
        if not enough:
            raise damaged(f"there are not enough data for {self.frames} frames")

    @property
    def _frame_a_fragment(self) -> bool:
        """Whether each frame needs a separate fragment: all but the videos."""
        return not self.transfer_syntax.startswith("1.2.840.10008.1.2.4.10")


def frames_of(data_set: DataSet) -> int:
    """Return the number of frames that an object claims; 1 where it says nothing that counts."""
    return _Values(data_set).frames()


class _Values:
    """Values of allowed attributes as numbers and words."""

    def __init__(self, data_set: DataSet) -> None:
        self._values = data_set.values
        self._short = struct.Struct(">H" if data_set.big_endian else "<H")

    def number(self, tag: int, otherwise: int | None = None) -> int:
        """Return the first 16-bit number of an attribute."""
        value = self._values.get(tag, b"")
        if len(value) >= self._short.size:
            return int(self._short.unpack_from(value)[0])
        if otherwise is None:
            raise damaged(f"the attribute ({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing")
        return otherwise

    def text(self, tag: int) -> str:
        """Return an attribute as ASCII."""
        return self._values.get(tag, b"").rstrip(b"\0 ").decode("ascii", "replace").strip()

    def frames(self) -> int:
        """Return the number of frames; 1 where there is none, 0 for one that is no number."""
        text = self.text(FRAMES)
        if not text:
            return 1
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
