"""A HiFuse of few channels, for tests of its parts."""

import torch

from endoexit.models import create_model

TINY = {"width": 16, "heads": (1, 2, 4, 8), "depths": (2, 1, 1, 1)}


def tiny(name: str = "ee_hifuse_nano", classes: int = 5, **changes):
    torch.manual_seed(0)
    return create_model(name, classes, **(TINY | changes))
