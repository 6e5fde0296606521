"""Answers as DICOM objects: reports and captures, built new, never a cleaned copy."""
