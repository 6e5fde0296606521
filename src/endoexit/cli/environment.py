"""The environment of the process, set before any library reads it."""

import os
import sys

# Libraries read a number from these when they are imported, and fail where there is none.
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def prepare_environment() -> None:
    """Set what libraries read from the environment when they are imported.

    OpenMP threads wait without computing: on a machine that does other work, threads that wait
    actively keep the processor from those that they wait for. Processes that this one starts
    inherit all of it. What the user set is kept, except the number of a process that is none, such
    as an empty one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in _RANKS:
        if not os.environ.get(name, "0").isdecimal():
            del os.environ[name]
    _find_home()


def _find_home() -> None:
    """Give libraries a temporary home folder where there is none: some fail without one."""
    from endoexit.home import temporary_home, usable_home

    if usable_home() is not None:
        return
    try:
        folder = temporary_home()
    except OSError:  # whoever needs a cache will say so
        return
    os.environ["HOME"] = str(folder)
    if "ENDOEXIT_CACHE" not in os.environ:
        print(
            f"note: there is no home folder to write to, so caches are in {folder}. Name another "
            "folder in HOME or ENDOEXIT_CACHE.",
            file=sys.stderr,
        )
