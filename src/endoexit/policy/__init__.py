"""Exit policies: when an image may leave, how that is chosen, and what can be promised.

Works on logits alone (NumPy and SciPy), so for any multi-exit network.
"""

from endoexit.policy.by_hand import (
    deadline_policy,
    fixed_exit,
    patience_policy,
    threshold_policy,
)
from endoexit.policy.confidence import CONFIDENCES, confidence, softmax
from endoexit.policy.policy import ExitPolicy

__all__ = [
    "CONFIDENCES",
    "ExitPolicy",
    "confidence",
    "deadline_policy",
    "fixed_exit",
    "patience_policy",
    "softmax",
    "threshold_policy",
]
