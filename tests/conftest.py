"""Shared fixtures: the real images, where they are present."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real images (ENDOEXIT_DATA, else shared/data beside the checkout)."""
    folder = Path(os.environ.get("ENDOEXIT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "colonoscopy").is_dir():
        pytest.skip(f"real images not found at {folder}; set ENDOEXIT_DATA to their folder")
    return folder
