"""Nothing leaves the machine: what other libraries would send is switched off.

Libraries read these switches when they are imported, so they are set before.
"""

import os
import sys
from typing import Any

_TELEMETRY = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, from 1.29 on
    "ORT_TELEMETRY_DISABLED": "1",  # the same under its later name
    "NNCF_CI": "1",  # NNCF: no telemetry, as on its own test machines
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray: on where no one has said otherwise
    "DO_NOT_TRACK": "1",  # understood by several
}
_DOWNLOADS = {
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
    os.environ.update(_DOWNLOADS)
    switch_off_telemetry()


def switch_off_telemetry() -> None:
    """Switch off telemetry alone, for the libraries that a program of a user imports through us.

    Whether such a program downloads anything is its own matter.
    """
    os.environ.update(_TELEMETRY)
    modules: dict[str, Any] = sys.modules
    for name in _MODULES:
        modules.setdefault(name, None)  # makes an import of it fail, which both are ready for
