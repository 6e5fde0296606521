"""Peak memory of a process that does nothing but predict with one run or bundle.

It is measured in a child, so that neither peers nor the libraries that they need count:

    python -P -m endoexit.bench.memory FOLDER PRECISION THREADS

prints one JSON object, from the size of a batch to MiB. Nothing slow is imported here.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from endoexit.bundles import open_source
from endoexit.errors import EndoexitError
from endoexit.policy import fixed_exit
from endoexit.runtime.engine import Engine
from endoexit.runtime.opening import Floats, open_backend
from endoexit.runtime.stream import predict_stream

BATCHES = (1, 8, 32)
_STATUS = Path("/proc/self/status")


def measure_memory(path: Path, precision: Floats | None, threads: int) -> dict[int, float]:
    """Return the peak memory in MiB of a process of its own, by the largest batch it has seen.

    All images go to the final exit.

    Args:
        path: a run or a bundle.
        precision: see `endoexit.runtime.opening.computed_in`.
        threads: of a stage.

    Raises:
        EndoexitError: the process failed; its last line is told.
    """
    # -P: a file json.py in the user's folder must not stand in for the library.
    command = [sys.executable, "-P", "-m", "endoexit.bench.memory", str(path), precision or "",
               str(threads)]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise EndoexitError(
            f"the process that measures memory ended with {done.returncode}: {last}. Free memory "
            "and run again."
        )
    return {int(batch): float(mib) for batch, mib in json.loads(done.stdout).items()}


def peak_mib() -> float:
    """Return the largest resident memory that this process has had, in MiB.

    On Linux it is read from the process itself: what `getrusage` says of a child includes the
    memory that its parent had when it was started.
    """
    if _STATUS.is_file():
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(kib) / 2**10
    import psutil  # noqa: PLC0415  (other systems only)

    facts = psutil.Process().memory_info()
    if hasattr(facts, "peak_wset"):
        return float(facts.peak_wset / 2**20)
    import resource  # noqa: PLC0415

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def _predict(path: Path, precision: Floats | None, threads: int) -> dict[int, float]:
    source = open_source(path)
    backend = open_backend(source, precision, threads)
    last = backend.num_stages
    engine = Engine(backend, fixed_exit(last, last), source.config.preprocessing)
    side = engine.preprocessing.size
    random = np.random.default_rng(0)
    peaks = {}
    for batch in BATCHES:
        images = random.integers(0, 256, (2 * batch, side, side, 3), dtype=np.uint8)
        for _ in predict_stream(engine, images, batch):
            pass
        peaks[batch] = round(peak_mib(), 1)
    return peaks


def main() -> None:
    """Measure this process and print what it needed."""
    folder, precision, threads = sys.argv[1:]
    floats: Floats | None = "bf16" if precision == "bf16" else "f32" if precision else None
    print(json.dumps(_predict(Path(folder), floats, int(threads))))


if __name__ == "__main__":
    main()
