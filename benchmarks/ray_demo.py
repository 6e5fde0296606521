"""A job of the archive on a cluster of Ray with two nodes, one of which is killed half-way.

    python benchmarks/ray_demo.py BUNDLE [--images 2000] [--side 96]

Starts the cluster on this machine, renders images of the phantom, and runs the same job twice:
without Ray and undisturbed, then on the cluster, where one node is killed when half of the shards
are done. Prints what happened. Ends with 1 unless both have the same rows. Writes no result.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from archive_material import rows, write_images
from endoexit.archiving.plan import JobFolder
from endoexit.archiving.reading import faults_of
from endoexit.cluster import require_ray

STORE_BYTES = 80 * 2**20  # the least that Ray takes: no pixel gets there
STARTS = 3  # some starts fail while other work shares the machine


def archive(*arguments: object) -> list[str]:
    """Return a command of `endoexit archive`."""
    return [sys.executable, "-m", "endoexit", "archive", *map(str, arguments)]


def start_cluster(folder: Path) -> tuple[Any, Any]:
    """Start a cluster with a head and a second node, one CPU each; return it and that node."""
    os.environ["RAY_TMPDIR"] = str(folder)
    (folder / "ray").mkdir(exist_ok=True)  # Ray takes for granted that it is there
    require_ray()
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    head = node | {"include_dashboard": False, "temp_dir": str(folder)}
    for left in reversed(range(STARTS)):
        try:
            cluster = Cluster(initialize_head=True, head_node_args=head)
            return cluster, cluster.add_node(**node)
        except Exception as error:
            if not left:
                raise
            print(f"Ray did not start ({error}): once more.")
    raise AssertionError("unreachable")


def run_and_kill(job: JobFolder, cluster: Any, node: Any) -> int:
    """Run a job on the cluster and kill the node half-way; return the exit code."""
    driver = subprocess.Popen(
        archive("run", job.path, "--ray", cluster.address, "--actors", 2, "--threads", 1)
    )
    begin = time.perf_counter()
    while driver.poll() is None and len(job.done()) < job.job.shards // 2:
        time.sleep(0.02)
    if driver.poll() is None:
        print(f"{len(job.done())} of {job.job.shards} shards are done: a node is killed.")
        cluster.remove_node(node, allow_graceful=False)
    code = driver.wait()
    print(f"The job ended with {code} after {time.perf_counter() - begin:.0f} s.")
    return code


def main() -> None:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="run or bundle")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=96, help="side of the images in pixels")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        os.environ["HOME"] = str(home)  # where Ray keeps the token of the cluster
        os.environ["ENDOEXIT_CACHE"] = str(folder / "cache")
        print(f"Rendering {given.images} images.", flush=True)
        _, tar = write_images(folder, given.images, given.side)
        for job in ("alone", "cluster"):
            line = archive("plan", given.bundle, tar, "--out", folder / job, "--shard-images", 50)
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        print("Running the job without Ray.", flush=True)
        line = archive("run", folder / "alone", "--workers", 1, "--threads", 1)
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        print("Starting a cluster with two nodes.", flush=True)
        cluster, node = start_cluster(folder)
        job = JobFolder.open(folder / "cluster")
        try:
            code = run_and_kill(job, cluster, node)
        finally:
            cluster.shutdown()
        if code:
            sys.exit("the job did not end")
        same = list(rows(job.path)) == list(rows(folder / "alone"))
        faults = faults_of(job)
        print(f"Rows: {job.job.images}, {'the same as' if same else 'OTHERS than'} without Ray.")
        if not same or faults:
            sys.exit("\n".join(["the rows differ", *faults]))


if __name__ == "__main__":
    main()
