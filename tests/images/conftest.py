import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def corners() -> Image.Image:
    """24×16, each quarter another colour, so that every turn and mirror shows."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :12] = (255, 0, 0)
    pixels[:8, 12:] = (0, 255, 0)
    pixels[8:, :12] = (0, 0, 255)
    pixels[8:, 12:] = (255, 255, 0)
    return Image.fromarray(pixels)
