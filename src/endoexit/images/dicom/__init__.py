"""DICOM objects as images. Nothing but what the pixels need is ever read out of them."""
