"""The processor without bf16 that the second run of the precision tests sees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from endoexit.runtime.backends.choice import has_bf16

FOLDER = Path(__file__).with_name("without_bf16")
ASK = """
from endoexit.machine import describe_machine
from endoexit.runtime.backends.choice import has_bf16
from endoexit.training.start import resolve_precision
print(has_bf16("torch"), has_bf16("openvino"), resolve_precision("auto", "cpu"))
"""


@pytest.mark.precision
def test_nothing_computes_in_bf16_there():
    path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", ASK], check=False, capture_output=True, text=True, env=environment
    )
    assert done.stdout.split() == ["False", "False", "32-true"], done.stderr


@pytest.mark.precision
@pytest.mark.skipif(
    not os.environ.get("ENDOEXIT_TEST_NO_BF16"), reason="this is the run on the processor as it is"
)
def test_the_second_run_is_without_bf16():
    assert not has_bf16("torch")
    assert not has_bf16("openvino")
