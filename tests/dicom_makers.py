"""DICOM objects for tests: written by pydicom around given pixels."""

import io
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

GOLDEN = Path(__file__).parent / "golden" / "dicom"

ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1"
EXPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"


def picture(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    """Return a smooth picture of three different colours, uint8 (height, width, 3)."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def jpeg(pixels: np.ndarray) -> bytes:
    """Return pixels as a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def dataset(pixels: np.ndarray, **attributes: object) -> Dataset:
    """Return an endoscopic image of RGB pixels (frames, height, width, 3), not compressed."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = EXPLICIT
    made.SOPClassUID, made.SOPInstanceUID = ENDOSCOPIC, "1.2.3.4"
    made.Rows, made.Columns = pixels.shape[1:3]
    made.NumberOfFrames = len(pixels)
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    content = pixels.tobytes()
    made.PixelData = content + b"\0" * (len(content) % 2)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def encapsulated(
    frames: list[bytes], shape: tuple[int, int], syntax: str = JPEG, **attributes: object
) -> Dataset:
    """Return an endoscopic image of compressed frames."""
    made = dataset(np.zeros((len(frames), *shape, 3), np.uint8))
    made.file_meta.TransferSyntaxUID = syntax
    made.PhotometricInterpretation = "YBR_FULL_422"
    made.PixelData = encapsulate(frames)
    made["PixelData"].is_undefined_length = True
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def content(made: Dataset) -> bytes:
    """Return the file of an object."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return stream.getvalue()
