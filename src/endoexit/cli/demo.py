"""`endoexit demo`: every step on synthetic images, in minutes."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from endoexit.cli.console import JsonOption, Output, progress
from endoexit.errors import UsageError

MAX_DROP = 0.01  # the policy gives away at most this share of accuracy on calibrate


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that it makes.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of training.")] = 14,
    images: Annotated[int, typer.Option(min=15, help="Synthetic images of each class.")] = 90,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed for the images, the split and the training.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Render synthetic images, audit and split them, train, calibrate, predict, evaluate, report.

    Shows each command as a user would type it. The images are a phantom: rendered
    by this program, no patient, and no measure of what a network does on real
    ones. Run again, it continues where it stopped and trains nothing twice.

    Example: `endoexit demo --out demo`
    """
    from endoexit.cli.calibrate import calibrate
    from endoexit.cli.evaluate import evaluate
    from endoexit.cli.predict import predict
    from endoexit.cli.report import report
    from endoexit.phantom.render import render_phantom

    output = Output(as_json)
    # The commands below print for people; with --json that is for stderr.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        output.say(
            "Everything below runs on SYNTHETIC images, rendered by this program: no patient.\n"
        )
        with progress("Rendering synthetic images", 8 * images) as bar:
            folder = render_phantom(out / "images", images, 128, seed, bar.advance)
        manifest, run = out / "manifest.csv", out / "run"
        _prepare(output, folder, manifest, seed)
        _train(output, manifest, run, epochs, seed)
        _show(output, f"endoexit calibrate {run} --max-accuracy-drop {MAX_DROP}")
        calibrate(run, max_accuracy_drop=MAX_DROP)
        predictions = out / "predictions.csv"
        _show(output, f"endoexit predict {run} {folder} --out {predictions}")
        predict(run, [str(folder)], out=predictions)
        _show(output, f"endoexit evaluate {run}")
        evaluate(run)
        page = out / "report"
        _show(output, f"endoexit report {run} --out {page}")
        report(run, out=page)
    made = [
        (folder, "the synthetic images, a folder for each class"),
        (out / "audit.json", "what the audit found"),
        (manifest, "which image has which role"),
        (run, "weights, settings, logs, model card"),
        (run / "policy.json", "the rule by which images exit early"),
        (run / "evaluation.json", "all figures of the table above"),
        (predictions, "label, probability and exit of every image"),
        (page / "report.html", "all of it as a page, to be opened in a browser"),
    ]
    output.say(f"\nAll of this is about SYNTHETIC images. It wrote, under {out.resolve()}:")
    for path, what in made:
        output.say(f"  {path}  {what}")
    output.say("\nOn your images: endoexit audit FOLDER, with a folder of images for each class.")
    output.document({what: str(path) for path, what in made})


def _show(output: Output, line: str) -> None:
    output.say(f"\n$ {line}")


def _prepare(output: Output, folder: Path, manifest: Path, seed: int) -> None:
    from endoexit.cli.audit import audit
    from endoexit.cli.split import split

    audit_file = manifest.with_name("audit.json")
    _show(output, f"endoexit audit {folder} --out {audit_file}")
    audit(folder, out=audit_file)
    patients = folder / "phantom.csv"
    roles = "train=.6,val=.1,calibrate=.1,test=.2"
    _show(
        output,
        f"endoexit split {folder} --groups {patients} --merge-groups --roles {roles} "
        f"--seed {seed} --out {manifest}",
    )
    split(folder, roles=roles, seed=seed, groups=patients, merge_groups=True, out=manifest)


def _train(output: Output, manifest: Path, run: Path, epochs: int, seed: int) -> None:
    from endoexit.artifacts.run import open_run
    from endoexit.cli.train import train

    if run.exists() and (run / "config.json").is_file():
        made = open_run(run)
        if (made.config.recipe["epochs"], made.config.seed) != (epochs, seed):
            raise UsageError(
                f"{run} was trained with other settings (--epochs {made.config.recipe['epochs']} "
                f"--seed {made.config.seed}): choose another --out, or remove it."
            )
        if made.is_complete:
            output.say(f"\n{run} is trained already; remove it to train again.")
            return
        _show(output, f"endoexit train --resume {run}")
        train(resume=run)
        return
    _show(
        output,
        f"endoexit train {manifest} --model ee_hifuse_nano --recipe demo --seed {seed} "
        f"--set epochs={epochs} --out {run}",
    )
    train(manifest, recipe="demo", seed=seed, change=[f"epochs={epochs}"], out=run)
