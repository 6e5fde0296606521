"""Captures hold the image, its pixels bit for bit."""

import io

import numpy as np
import pydicom

from dicom_answers import MODEL
from dicom_makers import picture
from endoexit.runtime.outputs.dicom.answers import Answer
from endoexit.runtime.outputs.dicom.capture import SOP_CLASS, capture
from endoexit.runtime.outputs.dicom.source import Reference, SourceFile, fresh_uid

VIDEO = Reference("1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.3.1.7", "1.2.3.1", frames=4)
ANSWER = Answer(3, 2, "answered", "Pólyp", 0.875, 2, VIDEO)
MADE_AS = Reference(SOP_CLASS, fresh_uid(), fresh_uid())


def written(source: SourceFile) -> pydicom.Dataset:
    content = capture(picture(), ANSWER, source, MODEL, MADE_AS)
    return pydicom.dcmread(io.BytesIO(content))


def test_the_pixels_of_the_image_are_in_it_bit_for_bit():
    made = written(SourceFile("1.2.3", VIDEO))
    np.testing.assert_array_equal(made.pixel_array[:40, :56], picture())
    assert made.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert (made.SOPInstanceUID, made.SeriesInstanceUID) == (MADE_AS.instance, MADE_AS.series)
    (source,) = made.SourceImageSequence
    assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (VIDEO.instance, 3)
    assert "LossyImageCompression" not in made


def test_it_is_said_whether_its_pixels_may_tell_who_the_patient_is():
    for burned_in, said, removed in ((True, "YES", "NO"), (False, "NO", "YES")):
        made = written(SourceFile("1.2.3", VIDEO, dropped=True, burned_in=burned_in))
        assert (made.BurnedInAnnotation, made.PatientIdentityRemoved) == (said, removed)


def test_an_earlier_loss_is_not_forgotten():
    made = written(SourceFile("1.2.3", VIDEO, stored_bytes=672.0))
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionRatio == 40 * 56 * 3 / 672
