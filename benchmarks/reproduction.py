"""`endoexit reproduce kvasir` on colonoscopy images, with a small network in place of the paper's.

    python benchmarks/reproduction.py                 everything; run again to continue
    python benchmarks/reproduction.py --plan          how long it will take
    python benchmarks/reproduction.py --table-only    the page from the committed results

Five of HyperKvasir's 23 classes stand for Kvasir. Writes benchmarks/results/reproduction.json,
which `endoexit compare` reads, and the table of docs/kvasir.md.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from endoexit.reproduction.document import Results
from endoexit.reproduction.table import accuracy_table, cost_table, sentences
from real_split import data_folder
from tables import RESULTS, ROOT, replace_between, without_places

MODEL, RECIPE, EPOCHS = "ee_hifuse_nano", "small-data", 24
FILE = RESULTS / "reproduction.json"


def reproduce(out: Path, epochs: int, *arguments: str) -> None:
    """Run the command, which continues what is in `out`."""
    line = [
        "reproduce", "kvasir", str(data_folder() / "colonoscopy"), "--out", str(out),
        "--model", MODEL, "--recipe", RECIPE, "--epochs", str(epochs), *arguments,
    ]  # fmt: skip
    print("$ endoexit", *line, flush=True)
    subprocess.run([str(Path(sys.executable).with_name("endoexit")), *line], check=True)


def keep(written: Path) -> None:
    """Copy the results, without the folders of this machine."""
    results = Results.read(written)
    settings = results.settings.replaced(data=Path(results.settings.data).name)
    results = results.replaced(settings=settings, command=without_places(results.command))
    results.write(FILE)


def write_page() -> None:
    """Put the tables of the committed results into the guide."""
    results = Results.read(FILE)
    tables = [table.markdown() for table in (accuracy_table(results), cost_table(results))]
    text = "\n\n".join(
        [*tables, *sentences(results), "Made by `python benchmarks/reproduction.py`."]
    )
    replace_between(ROOT / "docs" / "kvasir.md", "reproduction", text)
    print(text)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "reproduction")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each training")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--table-only", action="store_true", help="from the committed results")
    arguments = parser.parse_args()
    if not arguments.table_only:
        reproduce(arguments.out, arguments.epochs, *["--plan"] * arguments.plan)
    if arguments.plan:
        return
    if not arguments.table_only:
        keep(arguments.out / "results.json")
    write_page()


if __name__ == "__main__":
    main()
