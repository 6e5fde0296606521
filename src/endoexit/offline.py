"""Nothing leaves the machine: what other libraries would send is switched off.

Libraries read these switches when they are imported, so they are set before.
"""

import os
import sys
from typing import Any

_VARIABLES = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, from 1.29 on
    "ORT_TELEMETRY_DISABLED": "1",  # the same under its later name
    "NNCF_CI": "1",  # NNCF: no telemetry, as on its own test machines
    "DO_NOT_TRACK": "1",  # understood by several
    "HF_HUB_OFFLINE": "1",  # Hugging Face: no download, no question for newer files
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}
_MODULES = ("openvino_telemetry",)  # sends for OpenVINO and NNCF, which do without it


def stay_offline() -> None:
    """Switch off the telemetry and the downloads of all libraries, in child processes too.

    What the user has set to another value is set anew: no setting lets our commands call out.
    """
    os.environ.update(_VARIABLES)
    modules: dict[str, Any] = sys.modules
    for name in _MODULES:
        modules.setdefault(name, None)  # makes an import of it fail, which both are ready for
