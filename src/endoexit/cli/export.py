"""`endoexit export`: a run as a folder that predicts on another machine."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from endoexit.cli.console import (
    CacheOption,
    JsonOption,
    ManifestOption,
    NamesKeyOption,
    NamesOption,
    Output,
    name_images,
    progress,
)

if TYPE_CHECKING:
    from endoexit.exporting.export import Exported


def export(
    run: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the bundle; new or empty.")],
    backend: Annotated[
        Literal["openvino", "onnx", "torch"], typer.Option(help="Library that runs the stages.")
    ] = "openvino",
    precision: Annotated[
        Literal["f32", "bf16", "int8"], typer.Option(help="Number format of the stages.")
    ] = "f32",
    accept_drop: Annotated[
        bool,
        typer.Option("--accept-drop", help="Export even if an exit loses more than --max-drop."),
    ] = False,
    max_drop: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Largest drop of an exit's accuracy on calibrate; int8 leaves layers in floating "
            "point until it is kept.",
        ),
    ] = 0.01,
    range_images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images of the train role that int8 takes its ranges from.  [default: 256]",
        ),
    ] = None,
    manifest: ManifestOption = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads while times are measured; only for a policy about milliseconds."
        ),
    ] = None,
    cache: CacheOption = None,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a run as a bundle: the network cut at its exits, its policy, hashes of all files.

    Logits change with the backend and the precision, so the accuracy of every exit is measured
    again on calibrate. The run's policy is found again for the same goal, and a guarantee is
    proven again on certify. int8 takes its ranges from images of the train role, and leaves layers
    in floating point where an exit would lose more than --max-drop.

    Example: `endoexit export runs/nano --precision bf16 --out bundles/nano-bf16`
    """
    from endoexit.workflow.export import export as export_run

    output = Output(as_json)
    name_images(names, names_key)
    output.warn_if_unfinished(run)
    exported = export_run(
        run,
        out=out,
        backend=backend,
        precision=precision,
        accept_drop=accept_drop,
        max_drop=max_drop,
        range_images=range_images,
        manifest=manifest,
        threads=threads,
        cache=cache,
        command=shlex.join(["endoexit", *sys.argv[1:]]),
        track=progress,
    )
    _print(output, exported)
    output.document(_document(exported))


def _print(output: Output, exported: "Exported") -> None:
    from endoexit.cli.tables import paragraph, with_notes
    from endoexit.exporting.bundle_card import exit_table, float_layer_lines
    from endoexit.policy.promises import promise_words

    bundle = exported.bundle
    output.say(*with_notes(exit_table(bundle.config)))
    output.say(*float_layer_lines(bundle.config))
    for name, policy in exported.policies.items():
        output.say(paragraph(f"Policy for {name}: {policy.goal}."))
        for promise in policy.promises:
            output.say(paragraph(f"Promise for {name}: {promise_words(promise)}."))
        if policy.fell_back and policy.note:
            output.warn(f"{name}: {policy.note}")
    if exported.without:
        output.warn(exported.without)
    size = sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file())
    output.say(f"Written: {bundle.path} ({size / 2**20:.1f} MiB)")
    output.say(f"Use it: endoexit predict {shlex.quote(str(bundle.path))} IMAGES")


def _document(exported: "Exported") -> dict[str, Any]:
    return {
        "path": str(exported.bundle.path),
        "bundle": exported.bundle.config.model_dump(mode="json"),
        "policies": {
            str(name): policy.model_dump(mode="json", exclude={"front"})
            for name, policy in exported.policies.items()
        },
        "without": exported.without,
    }
