"""An image with its answer next to it as a Secondary Capture."""

from typing import Any

from endoexit.images.pixels import Pixels
from endoexit.runtime.outputs.dicom.answers import Answer, ModelFacts
from endoexit.runtime.outputs.dicom.making import as_bytes, equipment, put_identity
from endoexit.runtime.outputs.dicom.quiet import quiet
from endoexit.runtime.outputs.dicom.source import Reference, SourceFile
from endoexit.runtime.outputs.dicom.strip import add_strip

SERIES_NUMBER = 9002
SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7"
_TITLE = "Images with answers, research use only"


def capture(
    pixels: Pixels, answer: Answer, source: SourceFile, model: ModelFacts, made_as: Reference
) -> bytes:
    """Return an image with its answer as the file of a secondary capture.

    The upper left corner of it is the image, its pixels unchanged and not compressed.

    Args:
        pixels: Image, uint8 (height, width, 3).
        answer: Answer on it.
        source: File that it is from.
        model: Model that answered.
        made_as: UIDs of the capture.
    """
    from highdicom.sc import SCImage  # noqa: PLC0415  slow to import, and an extra

    shown = add_strip(pixels, answer, model)
    with quiet():
        made = SCImage(
            pixel_array=shown,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "F"),
            study_instance_uid=source.study,
            series_instance_uid=made_as.series,
            series_number=SERIES_NUMBER,
            sop_instance_uid=made_as.instance,
            instance_number=answer.frame + 1,
            series_description=_TITLE,
            **equipment(model),
        )
        # It is not known which way an endoscope was held.
        made.PatientOrientation = made.Laterality = None
        made.ConversionType = "WSD"
        made.BurnedInAnnotation = "YES" if source.burned_in else "NO"
        if source.stored_bytes is not None:
            made.LossyImageCompression = "01"
            made.LossyImageCompressionRatio = f"{pixels.size / source.stored_bytes:.2f}"
        if answer.image is not None:
            made.SourceImageSequence = [_source_item(answer)]
        put_identity(made, source, removed=not source.burned_in)
        return as_bytes(made)


def _source_item(answer: Answer) -> Any:
    from pydicom.dataset import Dataset  # noqa: PLC0415

    item, purpose = Dataset(), Dataset()
    if answer.image is not None:
        item.ReferencedSOPClassUID = answer.image.sop_class
        item.ReferencedSOPInstanceUID = answer.image.instance
        if answer.image.names_frames:
            item.ReferencedFrameNumber = answer.frame + 1
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
