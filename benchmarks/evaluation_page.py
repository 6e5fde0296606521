"""The tables of `endoexit evaluate` on docs/reading-an-evaluation.md, of a run of the real study.

    python benchmarks/evaluation_page.py

takes the evaluation of the first otoscopy run that `python benchmarks/real.py otoscopy` made,
keeps it in benchmarks/results/reading_evaluation.json, and puts its tables into the page as the
command prints them. `--table-only` makes the tables again from that JSON. Seconds.
"""

import argparse
import io
import sys

from rich.console import Console, RenderableType

from endoexit.cli.tables import terminal_table
from endoexit.evaluation import tables as made
from endoexit.evaluation.document import Evaluation
from endoexit.files import read_json, write_json
from tables import RESULTS, ROOT, replace_between

RUN = "runs/real/otoscopy/ee_hifuse_nano-seed0"
RESULT = RESULTS / "reading_evaluation.json"
PAGE = ROOT / "docs" / "reading-an-evaluation.md"
COLUMNS = 80


def printed(table: RenderableType) -> str:
    """Return a table as a terminal of 80 columns shows it, as a block of text."""
    console = Console(file=io.StringIO(), width=COLUMNS, highlight=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return "\n".join(["```text", *lines, "```"])


def page_tables(evaluation: Evaluation) -> dict[str, str]:
    """Return the text between the markers of the page, by their names."""
    tables = {
        "main": made.exit_table(evaluation),
        "scores": made.score_table(evaluation),
        "differences": made.difference_table(evaluation),
        "classes": made.class_table(evaluation),
        "shares": made.share_table(evaluation),
        "references": made.reference_table(evaluation),
    }
    return {name: printed(terminal_table(table)) for name, table in tables.items() if table}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table-only", action="store_true", help="make the tables from the JSON")
    if not parser.parse_args().table_only:
        evaluation = Evaluation.read(ROOT / RUN / "evaluation.json")
        document = {"command": " ".join(["python", *sys.argv]), "run": RUN,
                    "evaluation": evaluation.model_dump(mode="json")}  # fmt: skip
        write_json(RESULT, document)
    evaluation = Evaluation.model_validate(read_json(RESULT)["evaluation"])
    for name, text in page_tables(evaluation).items():
        replace_between(PAGE, name, text)


if __name__ == "__main__":
    main()
