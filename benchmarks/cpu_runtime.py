"""What the CPU runtime gains: exits, bundles and policies in real time, held against targets.

    python benchmarks/cpu_runtime.py networks --only ee_hifuse_nano [--rounds 11]
    python benchmarks/cpu_runtime.py profile --only ee_hifuse_small [--variants openvino-f32]
    python benchmarks/cpu_runtime.py road [--only efficientnet_lite0]
    python benchmarks/cpu_runtime.py fused [--only efficientnet_lite0]
    python benchmarks/cpu_runtime.py edges [--only efficientnet_lite0]
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/cpu_runtime.py narrow
    python benchmarks/cpu_runtime.py trained RUN
    python benchmarks/cpu_runtime.py answers RUN
    python benchmarks/cpu_runtime.py tail
    python benchmarks/cpu_runtime.py reading
    python benchmarks/cpu_runtime.py start
    python benchmarks/cpu_runtime.py pages

Every part measures one thing and replaces its results in
benchmarks/results/cpu_runtime.json, so each can be run again alone; `pages` makes the table of the
README and docs/cpu-runtime.md from that file, as every part does at its end. Contenders that are
compared take turns in one process, and ratios are taken round by round.

- networks: time of one image, 224×224, random weights: every exit in OpenVINO (f32, bf16, int8)
  and ONNX Runtime, compared with the same networks in one piece and in eager PyTorch.
- profile: what the time of each of their stages goes into, by OpenVINO's own counters.
- road: every step between the file of one image and its answer, at 128×128; the cut network
  against one piece of the same files.
- fused: stages that run as one where a policy leaves exits unused, against stages one by one.
- edges: normalising and the confidence inside the graph of stage 1, against NumPy and Python.
- narrow: int8 against f32 with the convolutions held to AVX2, as on a processor without VNNI.
- trained: a trained run with its images, exported in bf16 and int8 with a policy that keeps
  accuracy on calibrate: accuracy on test, mean time of an image, images a second.
- answers: a trained run from the files of its test images: int8 under the policy, the same network
  whole, the paper's baseline.
- tail: one image at a time, alone and next to other processes.
- reading: from a JPEG of 1280×1024 pixels to the network's square, on one core.
- start: `endoexit predict` on one image, from nothing to the answer.
"""

import argparse
import itertools
import shlex
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from endoexit.cli.console import progress
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, share_at_work
from runtime_answers import measure_answers
from runtime_edges import measure_edges
from runtime_files import measure_reading, measure_start
from runtime_fused import measure_fused
from runtime_narrow import measure_narrow
from runtime_networks import NETWORKS, VARIANTS, measure_network
from runtime_pages import write_pages
from runtime_profile import profile_network
from runtime_road import ROADS, measure_road
from runtime_tail import measure_tail
from runtime_trained import measure_trained
from tables import RESULTS, ROOT

RESULT = RESULTS / "cpu_runtime.json"
TAIL = "efficientnet_lite0"
SIDES = (128, 224)
AT_WORK = round(share_at_work(), 3)  # before this process works itself
PROFILED = [variant for variant in VARIANTS if variant.startswith("openvino")]


def put(path: tuple[str, ...], measured: dict[str, Any], threads: int) -> None:
    """Put the result of one part into the file, with all that it depends on."""
    document = read_json(RESULT) if RESULT.is_file() else {}
    place = document
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = {
        "command": shlex.join(["python", "benchmarks/cpu_runtime.py", *_public(sys.argv[1:])]),
        "threads": threads,
        "machine": describe_machine(),
        "work_of_others_before": AT_WORK,
        "versions": library_versions(),
        **measured,
    }
    write_json(RESULT, document)


def _public(arguments: list[str]) -> list[str]:
    """Return arguments without the folders of this machine."""
    return [
        Path(word).resolve().relative_to(ROOT).as_posix()
        if Path(word).exists() and Path(word).resolve().is_relative_to(ROOT)
        else Path(word).name
        if Path(word).is_absolute()
        else word
        for word in arguments
    ]


def networks(arguments: argparse.Namespace, work: Path) -> None:
    """Measure networks with random weights."""
    for name in arguments.only:
        measured = measure_network(
            name,
            work / name,
            variants=arguments.variants,
            threads=arguments.threads,
            rounds=arguments.rounds,
            track=progress,
        )
        put(("networks", name), measured, arguments.threads)


def profile(arguments: argparse.Namespace, work: Path) -> None:
    """Count where the time of networks with random weights goes."""
    for name in arguments.only:
        for variant in arguments.variants:
            measured = profile_network(
                name,
                work / name,
                variant=variant,
                threads=arguments.threads,
                rounds=arguments.rounds,
                track=progress,
            )
            put(("profiles", name, variant), measured, arguments.threads)


def road(arguments: argparse.Namespace, work: Path) -> None:
    """Time every step between a file and its answer, for networks with random weights."""
    measure = partial(measure_road, threads=arguments.threads)
    of_all(arguments, work, "roads", measure, threads=arguments.threads)


def fused(arguments: argparse.Namespace, work: Path) -> None:
    """Time stages as one where a policy leaves exits unused, for networks with random weights."""
    of_all(arguments, work, "fused", measure_fused, threads=1)


def edges(arguments: argparse.Namespace, work: Path) -> None:
    """Time input and confidence inside the graph of stage 1, for networks with random weights."""
    of_all(arguments, work, "edges", measure_edges, threads=1)


def of_all(
    arguments: argparse.Namespace,
    work: Path,
    key: str,
    measure: Callable[..., dict[str, Any]],
    *,
    threads: int,
) -> None:
    """Measure each network that was asked for in each of its variants."""
    for name, variant in itertools.product(arguments.only, arguments.variants):
        folder = work / "road" / name
        measured = measure(name, folder, variant=variant, rounds=arguments.rounds, track=progress)
        put((key, name, variant), measured, threads)


def narrow(arguments: argparse.Namespace, work: Path) -> None:
    """Time int8 against f32 with the convolutions held to AVX2."""
    measured = measure_narrow(TAIL, work / "road" / TAIL, rounds=arguments.rounds, track=progress)
    put(("narrow",), measured, 1)


def trained(arguments: argparse.Namespace, work: Path) -> None:
    """Measure a trained run."""
    measured = measure_trained(
        arguments.run,
        work / "trained",
        drop=arguments.max_accuracy_drop,
        threads=arguments.threads,
        rounds=arguments.rounds,
        track=progress,
    )
    put(("trained",), measured, arguments.threads)


def answers(arguments: argparse.Namespace, work: Path) -> None:
    """Measure a trained run from files to answers."""
    measured = measure_answers(
        arguments.run,
        work / "answers",
        threads=arguments.threads,
        rounds=arguments.rounds,
        track=progress,
    )
    put(("answers",), measured, arguments.threads)


def tail(arguments: argparse.Namespace, work: Path) -> None:
    """Measure one image at a time next to other processes."""
    for threads in arguments.numbers:
        for variant in arguments.variants:
            measured = measure_tail(
                TAIL,
                work / "road" / TAIL,
                variant=variant,
                threads=threads,
                rounds=arguments.rounds,
                track=progress,
            )
            put(("tails", f"{variant} {threads}"), measured, threads)


def reading(arguments: argparse.Namespace, work: Path) -> None:
    """Measure decoding and resizing."""
    for size in SIDES:
        put(("reading", str(size)), measure_reading(work, size, arguments.rounds, progress), 1)


def start(arguments: argparse.Namespace, work: Path) -> None:
    """Measure the start of a prediction."""
    measured = measure_start(work / "start", arguments.threads, arguments.rounds)
    put(("start",), measured, arguments.threads)


def pages(arguments: argparse.Namespace, work: Path) -> None:
    """Measure nothing: the pages are made at the end anyway."""


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(required=True)

    def part(work: Callable[[argparse.Namespace, Path], None], rounds: int) -> Any:
        command = parts.add_parser(work.__name__, description=work.__doc__)
        command.set_defaults(part=work)
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--rounds", type=int, default=rounds)
        command.add_argument("--work", type=Path, help="keep runs and bundles there, and use them")
        return command

    command = part(networks, 11)
    command.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    command.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    command = part(profile, 21)
    command.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    command.add_argument("--variants", nargs="+", choices=PROFILED, default=list(PROFILED))
    command = part(road, 101)
    command.add_argument("--only", nargs="+", choices=ROADS, default=list(ROADS))
    command.add_argument(
        "--variants", nargs="+", choices=VARIANTS,
        default=["openvino-f32", "openvino-int8", "onnx-f32"],
    )  # fmt: skip
    command = part(fused, 101)
    command.add_argument("--only", nargs="+", choices=ROADS, default=list(ROADS))
    command.add_argument("--variants", nargs="+", choices=PROFILED, default=list(PROFILED))
    command = part(edges, 101)
    command.add_argument("--only", nargs="+", choices=ROADS, default=list(ROADS))
    command.add_argument("--variants", nargs="+", choices=PROFILED, default=list(PROFILED))
    part(narrow, 201)
    command = part(trained, 30)
    command.add_argument("run", type=Path, help="folder of a trained run with its manifest")
    command.add_argument("--max-accuracy-drop", type=float, default=0.01)
    command = part(answers, 11)
    command.add_argument("run", type=Path, help="folder of a trained run with its manifest")
    command = part(tail, 4)
    command.add_argument("--numbers", nargs="+", type=int, default=[1, 2], help="of threads")
    command.add_argument("--variants", nargs="+", choices=PROFILED,
                         default=["openvino-f32", "openvino-int8"])  # fmt: skip
    part(reading, 41)
    part(start, 5)
    parts.add_parser("pages", description=pages.__doc__).set_defaults(part=pages, work=None)
    return parser.parse_args()


def main() -> None:
    """Measure one part and make the pages."""
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        arguments.part(arguments, arguments.work or Path(folder))
    write_pages(read_json(RESULT))


if __name__ == "__main__":
    main()
