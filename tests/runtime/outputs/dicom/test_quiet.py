"""Libraries say nothing while objects are read and made."""

import logging
import warnings

import pytest

from endoexit.runtime.outputs.dicom.quiet import quiet


def test_libraries_are_silent_and_are_heard_again_afterwards(caplog):
    with quiet():
        warnings.warn("Curie^Marie", stacklevel=1)
        logging.getLogger("pydicom").critical("Curie^Marie")
    assert caplog.text == ""
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
    logging.getLogger("pydicom").critical("heard")
    assert "heard" in caplog.text
