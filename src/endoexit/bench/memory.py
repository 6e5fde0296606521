"""Peak memory of a process that does nothing but predict with one run or bundle.

It is measured in a child, so that neither peers nor the libraries that they need count:

    python -P -m endoexit.bench.memory FOLDER PRECISION THREADS BATCH

prints the peak in MiB. Nothing slow is imported here.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from endoexit.errors import EndoexitError
from endoexit.policy import fixed_exit
from endoexit.precision import FloatFormat
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import open_session
from endoexit.runtime.stream import predict_stream

BATCHES = (1, 8, 32)
_STATUS = Path("/proc/self/status")


def measure_memory(
    path: Path, precision: FloatFormat | None, threads: int, batches: Sequence[int] = BATCHES
) -> dict[int, float]:
    """Return the peak memory in MiB of a process that predicts in batches, by their size.

    All images go to the final exit. Each size has a separate process, because what a process keeps
    of other batches would count as well.

    Args:
        path: Run or bundle.
        precision: See `endoexit.runtime.backends.choice.computed_in`.
        threads: Number of threads of a stage.
        batches: Sizes of a full batch.

    Raises:
        EndoexitError: The process failed; its last line is told.
    """
    return {batch: _peak_of_child(path, precision, threads, batch) for batch in batches}


def _peak_of_child(path: Path, precision: FloatFormat | None, threads: int, batch: int) -> float:
    # -P: a file numpy.py in the user's folder must not be imported in place of the library.
    command = [sys.executable, "-P", "-m", "endoexit.bench.memory", str(path), precision or "",
               str(threads), str(batch)]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise EndoexitError(
            f"the process that measures memory ended with {done.returncode}: {last}. Free memory "
            "and run again."
        )
    return float(done.stdout)


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


def _predict(path: Path, precision: FloatFormat | None, threads: int, batch: int) -> None:
    session = open_session(path, precision=precision, threads=threads)
    last = session.backend.num_stages
    engine = Engine(session.backend, fixed_exit(last, last), session.preprocessing)
    side = engine.preprocessing.size
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2 * batch, side, side, 3), dtype=np.uint8)
    for _ in predict_stream(engine, images, batch):
        pass


def main() -> None:
    """Measure this process and print what it needed."""
    folder, precision, threads, batch = sys.argv[1:]
    floats: FloatFormat | None = "bf16" if precision == "bf16" else "f32" if precision else None
    _predict(Path(folder), floats, int(threads), int(batch))
    print(round(peak_mib(), 1))


if __name__ == "__main__":
    main()
