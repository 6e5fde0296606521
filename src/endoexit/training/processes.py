"""The processes of one training on one machine: told apart, free of a cluster's settings.

Lightning starts a process for each further device. Clusters describe their processes by
environment variables with the same names, which libraries would take for a part of this training.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from endoexit.runtime.threads import check_threads

_MARK = "ENDOEXIT_TRAINING"  # the process that started a training, for those that it starts
_OF_CLUSTERS = ("SLURM_", "TORCHELASTIC_", "JSM_NAMESPACE_", "LSB_", "OMPI_", "PMI_", "PMIX_")
_OF_RANKS = {"RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
             "MASTER_ADDR", "MASTER_PORT"}  # fmt: skip
_THREADS = "OMP_NUM_THREADS"


def is_helper_process() -> bool:
    """Return whether a training started this process for a further device."""
    return os.environ.get(_MARK, str(os.getpid())) != str(os.getpid())


def local_rank() -> int:
    """Return the number of this process within its training, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if is_helper_process() else 0


def threads_of_each(threads: int | None, devices: int) -> int:
    """Return the number of CPU threads of each process of a training.

    Args:
        threads: What the user asked for; None for `OMP_NUM_THREADS`, or else for an equal share of
            the cores that may be used.
        devices: Number of processes.
    """
    number = check_threads(threads)
    return number if threads or os.environ.get(_THREADS) else max(1, number // devices)


@contextlib.contextmanager
def one_machine(threads: int) -> Iterator[None]:
    """Let a training and the processes that it starts see nothing of a cluster.

    Environment and threads are as before at the end.

    Args:
        threads: CPU threads of each process.
    """
    before, threads_before = dict(os.environ), torch.get_num_threads()
    if not is_helper_process():
        for name in before:
            if name in _OF_RANKS or name.startswith(_OF_CLUSTERS):
                del os.environ[name]
        os.environ |= {_MARK: str(os.getpid()), _THREADS: str(threads)}
        # It was read from the cluster's variables when Lightning was imported.
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
