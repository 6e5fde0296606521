"""From the values of pixels to 8-bit RGB."""

import numpy as np

from endoexit.images.dicom.codecs import Values
from endoexit.images.dicom.elements import DataSet
from endoexit.images.dicom.header import PALETTE_FORM, PALETTE_VALUES, Header
from endoexit.images.pixels import Pixels, scale_table
from endoexit.images.refusals import damaged, unsupported

_COLOURS = ("Red", "Green", "Blue")
_TABLES = tuple(f"{colour}PaletteColorLookupTable" for colour in _COLOURS)


def to_rgb(values: Values, header: Header, data_set: DataSet) -> Pixels:
    """Return values as RGB.

    Grey values are scaled by the bits that count. A window of the display is not applied: it is a
    choice of the viewer. Colour profiles are ignored, as those of other formats are.

    Args:
        values: (rows, columns), or (rows, columns, 3) in RGB.
        header: Form of the pixels.
        data_set: Object with its palette, if it has one.

    Returns:
        uint8 (rows, columns, 3).

    Raises:
        ImageError: The palette is missing or damaged.
    """
    expected = (header.rows, header.columns, 3)[: 2 if header.samples == 1 else 3]
    if values.shape != expected:
        raise damaged("the codec gave pixels of another size or number of colours")
    if header.photometric == "PALETTE COLOR":
        return _from_palette(values, data_set)
    bits, inverted = header.stored, header.photometric == "MONOCHROME1"
    if bits != 8 or inverted:
        table = scale_table(bits, inverted=inverted)
        pixels = table[np.minimum(values, len(table) - 1)]
    else:
        pixels = np.minimum(values, 255).astype(np.uint8, copy=False)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    return np.ascontiguousarray(pixels)


def _from_palette(values: Values, data_set: DataSet) -> Pixels:
    from pydicom.dataset import Dataset  # noqa: PLC0415  of the extra `dicom`
    from pydicom.pixels import apply_color_lut  # noqa: PLC0415

    if not all(tag in data_set.values for tag in (*PALETTE_FORM, *PALETTE_VALUES)):
        raise unsupported("DICOM object", "a palette that is missing or in segments")
    order = ">u2" if data_set.big_endian else "<u2"
    palette = Dataset()
    for name, form, table in zip(_TABLES, PALETTE_FORM, PALETTE_VALUES, strict=True):
        described = np.frombuffer(data_set.values[form][:6], order).tolist()
        palette.add_new(form, "US", described)
        palette.add_new(table, "OW", data_set.values[table])
        if len(described) != 3 or described[2] not in (8, 16):
            raise damaged(f"the form of {name} is not valid")
    try:
        colours: Values = apply_color_lut(values, palette)
    except Exception as error:  # a palette that contradicts itself
        raise damaged("its palette contradicts itself") from error
    return scale_table(16)[colours] if colours.dtype.itemsize > 1 else colours.astype(np.uint8)
