"""Exit policies: when an image may leave, how that is chosen, and what can be promised.

Works on logits alone (NumPy and SciPy), so for any multi-exit network.
"""

from endoexit.policy.confidence import CONFIDENCES, confidence, softmax
from endoexit.policy.policy import (
    ExitPolicy,
    deadline_policy,
    fixed_exit,
    patience_policy,
    threshold_policy,
)

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
