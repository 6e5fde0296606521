"""Write the complexity columns of the paper's Table 3, counted again, into README.md.

python benchmarks/table3_counts.py
"""

from endoexit.models.hifuse.table3 import reproduce_table3
from tables import ROOT, markdown_table, replace_between


def main() -> None:
    """Count and write."""
    rows = [
        (
            counts.paper.name,
            counts.paper.parameters_m,
            f"{counts.parameters / 1e6:.3f}",
            f"{counts.true_parameters / 1e6:.3f}",
            counts.paper.gflops,
            f"{counts.operations / 1e9:.3f}",
            f"{counts.true_macs / 1e9:.3f}",
        )
        for counts in reproduce_table3()
    ]
    header = ("all images exit at", "params, M: paper", "by its rules", "true", "“GFLOPs”: paper",
              "by its rules", "GMACs, true")  # fmt: skip
    text = markdown_table(header, rows) + "\n\nMade by `python benchmarks/table3_counts.py`."
    replace_between(ROOT / "README.md", "table3", text)
    print(text)


if __name__ == "__main__":
    main()
