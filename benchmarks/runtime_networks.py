"""Networks with random weights for `cpu_runtime.py`: exits, one piece, eager PyTorch, targets."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from endoexit.artifacts.bundle import is_bundle, open_bundle
from endoexit.artifacts.run import Run, RunConfig, write_run
from endoexit.bench.document import Spread
from endoexit.bench.limit import limits, matrix_product
from endoexit.bench.peers import open_peer
from endoexit.bench.ratios import Times, ratio, spread
from endoexit.bench.subject import FINAL, exit_names, exit_works
from endoexit.bench.throughput import measure_throughput
from endoexit.data.manifest import Manifest, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.evaluation.latency import Contender, keeping_threads
from endoexit.evaluation.turns import Work, take_turns
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import NetworkSpec
from endoexit.phantom.render import CLASSES, render_phantom
from endoexit.policy import threshold_policy
from endoexit.precision import Precision
from endoexit.progress import Track
from endoexit.runtime.backends.choice import has_bf16
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.session import Session, open_session

NETWORKS = ("ee_hifuse_small", "ee_hifuse_small_dw", "ee_hifuse_nano")
SIZE = 224
PER_CLASS = 4
OVERHEAD_MS = 0.3  # of policy, gathering and bookkeeping, for one image
DECISION = 0.9

# By what it is called: the bundle that it comes from, and what its floats compute in.
VARIANTS = {
    "openvino-f32": ("openvino", "f32"),
    "openvino-bf16": ("openvino", "bf16"),
    "openvino-int8": ("openvino", "int8"),
    "onnx-f32": ("onnx", "f32"),
}


@dataclass(frozen=True)
class Target:
    """A ratio that shall not be exceeded: the time of `name` over that of `to`."""

    network: str
    what: str
    name: str
    to: str
    at_most: float


def targets(network: str, variants: Sequence[str]) -> list[Target]:
    """Return the targets of a network, as far as the variants were measured."""
    wanted = []
    if network == "ee_hifuse_small":
        for variant, most in (("f32", 0.45), ("bf16", 0.27), ("int8", 0.20)):
            name = f"openvino-{variant}"
            wanted.append(Target(network, f"final exit, {name} / eager PyTorch f32",
                                 f"{name} {FINAL}", "eager", most))  # fmt: skip
    for variant in variants:
        shares = {"ee_hifuse_small": (0.28, 0.48), "ee_hifuse_nano": (0.40,)}.get(network, ())
        wanted += [
            Target(network, f"exit {number} / final exit, {variant}",
                   f"{variant} exit {number}", f"{variant} {FINAL}", most)
            for number, most in enumerate(shares, start=1)
        ]  # fmt: skip
    split = {"ee_hifuse_small": 1.04, "ee_hifuse_nano": 1.10}.get(network)
    if split is not None:
        for variant in ("openvino-f32", "openvino-bf16"):
            for piece, words in (("one piece", "final exit only"), ("all exits", "all exits")):
                wanted.append(Target(
                    network, f"all stages in sequence / one piece with {words}, {variant}",
                    f"{variant} {FINAL}", f"{variant} {piece}", split))  # fmt: skip
    measured = {*variants, "eager"}
    return [
        target
        for target in wanted
        if target.name.split()[0] in measured and target.to.split()[0] in measured
    ]


def random_run(
    name: str, folder: Path, size: int = SIZE, settings: Mapping[str, Any] | None = None
) -> Run:
    """Return a run of a network with random weights."""
    torch.manual_seed(0)
    overrides = dict(settings or {})
    config = RunConfig(
        model=name, overrides=overrides, classes=CLASSES, preprocessing=Preprocessing(size=size)
    )
    return write_run(folder, config, NetworkSpec(name, len(CLASSES), size, overrides).build())


def phantom_images(folder: Path, size: int = SIZE) -> Manifest:
    """Return a manifest of rendered images, all of the role train."""
    render_phantom(folder / "phantom", PER_CLASS, size)
    rows = [
        ManifestRow(path.relative_to(folder).as_posix(), path.parent.name, path.stem, "train")
        for path in sorted((folder / "phantom").rglob("*.jpg"))
    ]
    return write_manifest(folder / "manifest.csv", rows, folder)


def export_once(run: Run, out: Path, backend: str, precision: str, **settings: Any) -> Path:
    """Export a run, unless the bundle is there already; one of other weights is made again."""
    if is_bundle(out) and open_bundle(out).run_weights_sha256 != run.weights_sha256:
        shutil.rmtree(out)
    if not is_bundle(out):
        options = ExportOptions(backend=backend, precision=precision, accept_drop=True)
        export_run(open_session(run, **settings), out, options)
    return out


def open_variants(
    name: str,
    folder: Path,
    variants: Sequence[str],
    threads: int,
    track: Track,
    *,
    size: int = SIZE,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Session]:
    """Export what is not there yet; return the variants that this processor computes."""
    run = random_run(name, folder / "run", size, settings)
    manifest = phantom_images(folder, size)
    floats = "bf16" if has_bf16("openvino") else "f32"
    opened = {}
    for variant in variants:
        backend, precision = VARIANTS[variant]
        if precision == "bf16" and floats != "bf16":
            continue
        stored = floats if precision == "f32" and backend == "openvino" else precision
        bundle = export_once(
            run, folder / f"{backend}-{stored}", backend, stored, manifest=manifest, track=track
        )
        asked = "f32" if precision == "f32" else None
        opened[variant] = open_session(bundle, precision=asked, threads=threads)
    return opened


def measure_network(
    name: str,
    folder: Path,
    *,
    variants: Sequence[str],
    threads: int,
    rounds: int,
    track: Track,
) -> dict[str, Any]:
    """Measure everything about one network in one interleaved run."""
    with keeping_threads(), tempfile.TemporaryDirectory() as pieces:
        subjects = open_variants(name, folder, variants, threads, track)
        paths = sorted((folder / "phantom").rglob("*.jpg"))
        images = np.stack([Preprocessing(size=SIZE).load(path) for path in paths])
        works: dict[str, Work] = {}
        for variant, subject in subjects.items():
            works |= {f"{variant} {at}": work for at, work in exit_works(subject, images).items()}
        works |= _one_piece(name, subjects, images, threads, Path(pieces))
        products = {
            numbers: product
            for numbers in sorted({subject.precision.products for subject in subjects.values()})
            if (product := matrix_product(numbers, threads)) is not None
        }
        works |= {f"product {key}": lambda _, entry=entry: entry.multiply()
                  for key, entry in products.items()}  # fmt: skip
        with track(f"timing {name}", rounds) as bar:
            times = take_turns(works, rounds, bar, untimed=1)
        limits_by_key = {
            variant: limits(
                products[subject.precision.products],
                times[f"product {subject.precision.products}"],
                subject.source.complexity.macs,
                [times[f"{variant} {at}"] for at in exit_names(subject)],
            )
            for variant, subject in subjects.items()
            if subject.precision.products in products
        }
        return {
            "size": SIZE,
            "rounds": rounds,
            "milliseconds": {key: milliseconds(values) for key, values in times.items()},
            "targets": [_held(entry, times) for entry in targets(name, list(subjects))],
            "limits": {
                key: rounded(entry.model_dump(mode="json")) for key, entry in limits_by_key.items()
            },
            "overhead_ms": {
                key: rounded(_overhead(subject, images, track).model_dump())
                for key, subject in subjects.items()
            },
        }


def _one_piece(
    name: str, subjects: Mapping[str, Session], images: Images, threads: int, folder: Path
) -> dict[str, Work]:
    """Return the whole network: in eager PyTorch, and as one graph at each precision."""
    network, preprocessing = NetworkSpec(name, len(CLASSES), SIZE), Preprocessing(size=SIZE)
    wanted = [("eager", "eager", "f32")]
    if has_bf16("torch"):
        wanted.append(("eager-bf16", "eager-bf16", "bf16"))
    for variant, subject in subjects.items():
        if subject.precision.products != "int8":  # one piece is not quantised
            backend, floats = subject.precision.backend, subject.precision.floats
            wanted.append((f"{variant} one piece", backend, floats))
            wanted.append((f"{variant} all exits", f"{backend}-all-exits", floats))
    works = {}
    for called, peer, floats in wanted:
        precision = Precision("torch", floats, floats)
        opened = open_peer(
            peer, network, preprocessing, precision, threads=threads, folder=folder / floats
        )
        works[called] = Contender(opened.engine, images).answer
    return works


def _overhead(subject: Session, images: Images, track: Track) -> Spread:
    """Return what policy, gathering and bookkeeping take of an image, one at a time."""
    backend = subject.engine.backend
    policy = threshold_policy(backend.num_stages, DECISION)
    engine = Engine(backend, policy, subject.engine.preprocessing)
    (stream,) = measure_throughput(engine, images, (1,), rounds=11, track=track, length=4)
    return stream.overhead_ms


def _held(target: Target, times: Times) -> dict[str, Any]:
    measured = ratio(times, target.name, target.to)
    return held(target.what, measured, target.at_most)


def held(what: str, measured: Spread, at_most: float) -> dict[str, Any]:
    """Return a target, what was measured, and whether the target is met."""
    values = {"median": measured.median, "low": measured.low, "high": measured.high}
    return {"what": what, "at_most": at_most, **rounded(values), "met": verdict(measured, at_most)}


def verdict(measured: Spread, at_most: float) -> str:
    """Tell whether a target is met: only where the quartiles lie on one side of it."""
    if measured.high <= at_most:
        return "yes"
    return "no" if measured.low > at_most else "unclear"


def milliseconds(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the quartiles and the 95th percentile of times."""
    middle = spread(values)
    p95 = float(np.quantile(values, 0.95))
    return rounded({"p50": middle.median, "low": middle.low, "high": middle.high, "p95": p95})


def rounded(value: Any) -> Any:
    """Return a document with numbers of four digits that count."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list | tuple) else value
