"""A cluster of Ray with two nodes on this machine, in a process of its own.

As a command it starts the cluster, prints its address, and kills or adds the second node when its
standard input says so.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STORE_BYTES = 80 * 2**20  # the least that Ray takes: no pixel gets there
STARTS = 3  # some starts fail while other work shares the machine


class RayCluster:
    """The cluster from outside: a head and one more node, with one CPU each.

    Attributes:
        env: Environment of processes that use it: home and temporary files are its own.
        address: Address of the head.
    """

    def __init__(self) -> None:
        # Names of sockets are short, so no folder of pytest.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))
        (self._folder / "home").mkdir()
        (self._folder / "ray").mkdir()  # Ray takes for granted that it is there
        self.env = os.environ | {
            "HOME": str(self._folder / "home"),
            "RAY_TMPDIR": str(self._folder),
            "OMP_NUM_THREADS": "1",
        }
        for left in reversed(range(STARTS)):
            log = self._folder / "log.txt"
            with log.open("w") as stream:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(self._folder)], env=self.env, text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream,
                )  # fmt: skip
            self.address = self._process.stdout.readline().strip()
            if self.address:
                return
            self._process.communicate()
            assert left, f"Ray does not start on this machine:\n{log.read_text()}"

    def kill_node(self) -> None:
        """Kill all processes of the second node."""
        self._say("kill")

    def add_node(self) -> None:
        """Start a second node again."""
        self._say("add")

    def close(self) -> None:
        """End the cluster and remove its files."""
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _say(self, word: str) -> None:
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == f"{word}\n"


def main() -> None:
    from endoexit.cluster import require_ray

    require_ray()
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    head = node | {"include_dashboard": False, "temp_dir": sys.argv[1]}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**node)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line == "kill\n":
            cluster.remove_node(second, allow_graceful=False)
        else:
            second = cluster.add_node(**node)
        print(line, end="", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
