"""endoexit: early-exit image classifiers for endoscopy on ordinary CPUs.

Research use only; not a medical device. The names in `__all__` are the public ones. Each is
imported when it is first used: `import endoexit` alone loads neither NumPy nor torch.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Costs",
    "EndoexitError",
    "Engine",
    "LogitSet",
    "Policy",
    "Predictor",
    "Preprocessing",
    "RuleOptions",
    "SimulatedExits",
    "Stage",
    "StagedClassifier",
    "TorchBackend",
    "__version__",
    "archive_status",
    "audit",
    "calibrate",
    "cascade",
    "create_model",
    "evaluate",
    "export",
    "find_policy",
    "load_published",
    "make_goal",
    "merge_archive",
    "open",
    "plan_archive",
    "report",
    "resume",
    "run_archive",
    "split",
    "threshold_policy",
    "train",
    "train_for_int8",
    "verify_archive",
    "video",
    "with_exits",
]

if TYPE_CHECKING:
    from endoexit.api import Answer, Predictor
    from endoexit.api import open_predictor as open
    from endoexit.errors import EndoexitError
    from endoexit.images.preprocessing import Preprocessing
    from endoexit.models import (
        Stage,
        StagedClassifier,
        create_model,
        load_published,
        with_exits,
    )
    from endoexit.policy import ExitPolicy as Policy
    from endoexit.policy import threshold_policy
    from endoexit.policy.document import Costs
    from endoexit.policy.goal_options import make_goal
    from endoexit.policy.logits import LogitSet
    from endoexit.policy.options import RuleOptions
    from endoexit.policy.search import find_policy
    from endoexit.policy.simulation import SimulatedExits
    from endoexit.runtime.backends.torch import TorchBackend
    from endoexit.runtime.engine import Engine
    from endoexit.workflow.archive import (
        archive_status,
        merge_archive,
        plan_archive,
        run_archive,
        verify_archive,
    )
    from endoexit.workflow.audit import audit
    from endoexit.workflow.calibrate import calibrate
    from endoexit.workflow.cascade import cascade
    from endoexit.workflow.evaluate import evaluate
    from endoexit.workflow.export import export
    from endoexit.workflow.report import report
    from endoexit.workflow.split import split
    from endoexit.workflow.train import resume, train, train_for_int8
    from endoexit.workflow.video import video
else:
    _PLACES = {
        "Answer": ("api", "Answer"),
        "Costs": ("policy.document", "Costs"),
        "EndoexitError": ("errors", "EndoexitError"),
        "Engine": ("runtime.engine", "Engine"),
        "LogitSet": ("policy.logits", "LogitSet"),
        "Policy": ("policy", "ExitPolicy"),
        "Predictor": ("api", "Predictor"),
        "Preprocessing": ("images.preprocessing", "Preprocessing"),
        "RuleOptions": ("policy.options", "RuleOptions"),
        "SimulatedExits": ("policy.simulation", "SimulatedExits"),
        "Stage": ("models", "Stage"),
        "StagedClassifier": ("models", "StagedClassifier"),
        "TorchBackend": ("runtime.backends.torch", "TorchBackend"),
        "archive_status": ("workflow.archive", "archive_status"),
        "audit": ("workflow.audit", "audit"),
        "calibrate": ("workflow.calibrate", "calibrate"),
        "cascade": ("workflow.cascade", "cascade"),
        "create_model": ("models", "create_model"),
        "evaluate": ("workflow.evaluate", "evaluate"),
        "export": ("workflow.export", "export"),
        "find_policy": ("policy.search", "find_policy"),
        "load_published": ("models", "load_published"),
        "make_goal": ("policy.goal_options", "make_goal"),
        "merge_archive": ("workflow.archive", "merge_archive"),
        "open": ("api", "open_predictor"),
        "plan_archive": ("workflow.archive", "plan_archive"),
        "report": ("workflow.report", "report"),
        "resume": ("workflow.train", "resume"),
        "run_archive": ("workflow.archive", "run_archive"),
        "split": ("workflow.split", "split"),
        "threshold_policy": ("policy", "threshold_policy"),
        "train": ("workflow.train", "train"),
        "train_for_int8": ("workflow.train", "train_for_int8"),
        "verify_archive": ("workflow.archive", "verify_archive"),
        "video": ("workflow.video", "video"),
        "with_exits": ("models", "with_exits"),
    }

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _PLACES[name]
        value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names, also those that are not imported yet."""
        return sorted({*globals(), *__all__})
