"""Every block of the README and of docs/ runs, on synthetic images, as it is written."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

import pages
from endoexit.evaluation.latency import keeping_threads
from endoexit.phantom.render import render_phantom
from pages import Block, Sandbox, read_blocks, read_commands, shortened

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): read_blocks(path.read_text(encoding="utf-8"))
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
    if path.relative_to(ROOT).parts[:3] != ("docs", "reference", "api")
    and path.name != "commands.md"
}
FIRST = "docs/getting-started.md"
SEPARATE = ("CONTRIBUTING.md", "ARCHITECTURE.md", "benchmarks/README.md")


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic images that take the place of the reader's."""
    return render_phantom(tmp_path_factory.mktemp("docs") / "phantom", 72, 64)


@pytest.fixture(scope="session")
def project(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of Getting started were run, up to the evaluation."""
    folder = tmp_path_factory.mktemp("project")
    own_images(phantom, folder)
    with keeping_threads():
        for block in PAGES[FIRST]:
            Sandbox(folder).run(block)
    return folder


def own_images(phantom: Path, folder: Path) -> None:
    """A folder of images, a table of patients, new images: what most pages begin with."""
    shutil.copytree(phantom, folder / "images", copy_function=os.link)
    shutil.copy(phantom / "phantom.csv", folder / "patients.csv")
    new = folder / "new-images"
    new.mkdir()
    for number, path in enumerate(sorted(phantom.glob("*/*.jpg"))[::40]):
        shutil.copy(path, new / f"{number:02}.jpg")
    shutil.copy(new / "00.jpg", folder / "image.jpg")


def kvasirs(phantom: Path, folder: Path) -> None:
    """Kvasir and the labelled part of HyperKvasir with its folds, as their authors publish them.

    With a part of the images: four networks are trained on them.
    """
    chosen = [path for label in sorted(phantom.glob("*/")) for path in sorted(label.iterdir())[:28]]
    for path in chosen:
        copy = folder / "kvasir-dataset" / path.relative_to(phantom)
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, copy)
    shutil.make_archive(str(folder / "kvasir-dataset"), "zip", folder, "kvasir-dataset")
    tract = folder / "labeled-images" / "lower-gi-tract" / "pathological-findings"
    rows = ["file-name;class-name;split-index"]
    for number, path in enumerate(chosen):
        label, name = path.parent.name, f"{path.parent.name}-{path.name}"
        (tract / label).mkdir(parents=True, exist_ok=True)
        os.link(path, tract / label / name)
        rows.append(f"{name};{label};{number % 2}")
    (folder / "2_fold_split.csv").write_text("\n".join(rows) + "\n")


STARTS_WITH = {"README.md": own_images, "docs/kvasir.md": kvasirs}
RUNNING = [page for page, blocks in PAGES.items() if any(
    block.language in pages.EXECUTED for block in blocks)]  # fmt: skip
# What continues from Getting started runs on the worker that has run it.
continues = pytest.mark.xdist_group(FIRST)


def run(page: str, folder: Path) -> None:
    """Run the blocks of a page in a folder, in order."""
    sandbox = Sandbox(folder)
    with keeping_threads():
        for block in PAGES[page]:
            sandbox.run(block)


@pytest.mark.slow
@continues
def test_getting_started_runs(project):
    """Its fixture runs the page; these are the files that the page promises."""
    for name in ("audit.json", "audit-groups.csv", "runs/mine/policy.json",
                 "runs/mine/evaluation.json", "results.csv", "results.jsonl",
                 "demo/run/policy.json", "demo/run/evaluation.json"):  # fmt: skip
        assert (project / name).is_file(), name


@pytest.mark.slow
@pytest.mark.parametrize("page", [
    page if page in STARTS_WITH else pytest.param(page, marks=continues)
    for page in RUNNING if page != FIRST
])  # fmt: skip
def test_a_page_runs(page, phantom, request, tmp_path):
    if page in STARTS_WITH:
        STARTS_WITH[page](phantom, tmp_path)
    else:  # it continues from Getting started
        project = request.getfixturevalue("project")
        shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    run(page, tmp_path)


@pytest.mark.parametrize("page", [*PAGES, *SEPARATE])
def test_every_block_runs_or_is_shown_only(page):
    for block in PAGES.get(page) or read_blocks((ROOT / page).read_text(encoding="utf-8")):
        known = block.language in pages.EXECUTED | pages.SHOWN
        assert known or block.language.startswith("{"), f"{page}, line {block.line}"


def test_the_reference_names_every_part_of_the_package():
    """Commands have a page of their own, made from the command line."""
    parts = {path.stem for path in (ROOT / "src" / "endoexit").glob("[a-z]*") if path.stem != "cli"}
    reference = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^   endoexit\.(\w+)$", reference, re.MULTILINE)) == parts


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {f"docs/{line}.md" for line in index.splitlines() if re.fullmatch(r"[\w/-]+", line)}
    generated = {"docs/reference/commands.md"}
    assert listed - generated == set(PAGES) - {"README.md", "docs/index.md"}


# The executor itself


@pytest.mark.parametrize(
    ("language", "text", "message"),
    [
        ("sh", "false", "false\nended with 1"),
        ("sh", "false | cat", "ended with 1"),
        ("sh", "endoexit models --sise 224", "No such option: --sise"),
        ("console", "$ endoexit models --size 7\nerror: the size must be 8\n", "the page shows"),
        ("console", "$ echo one two\none three\n", "one two"),
        ("console", "$ true\nerror: it fails\n", "ended with 0"),
        ("python", "import endoexit.modls", "No module named"),
        ("pycon", ">>> 1 + 1\n3\n", "Got:\n    2"),
        ("yaml", "epochs: 5\n", "must name the file"),
    ],
)
def test_a_page_that_is_wrong_would_be_found(language, text, message, tmp_path):
    with pytest.raises((AssertionError, ImportError), match=re.escape(message)):
        Sandbox(tmp_path).run(Block(language, text, 1))


def test_output_may_be_left_out_in_part(tmp_path):
    text = "$ echo one; echo two; echo three\none\n...\nthree\n$ cat absent || true\n"
    Sandbox(tmp_path).run(Block("console", text, 1))


def test_standard_output_goes_into_a_file_as_a_shell_sends_it(tmp_path):
    (command,) = read_commands(Block("sh", "endoexit models --json > models.json", 1))
    assert command.file == "models.json"
    for line in ("endoexit models", "endoexit a | endoexit b > c", "endoexit a > b > c"):
        assert read_commands(Block("sh", line, 1))[0].file is None
    Sandbox(tmp_path).run(Block("sh", command.line, 1))
    assert json.loads((tmp_path / "models.json").read_text(encoding="utf-8"))["models"]


def test_blocks_are_read_as_markdown_reads_them():
    page = "1. do\n\n   ```sh\n   a b\n   ```\n\n~~~text\n```sh\nno\n```\n~~~\n```{toctree}\n```\n"
    assert [(block.language, block.text) for block in read_blocks(page)] == [
        ("sh", "a b\n"), ("text", "```sh\nno\n```\n"), ("{toctree}", ""),
    ]  # fmt: skip


def test_commands_are_read_as_a_shell_reads_them():
    block = Block(
        "sh", "# first\nfind x -name '*.png' | endoexit predict run - \\\n  --out a.csv\n", 1
    )
    (command,) = read_commands(block)
    assert command.words == ["find", "x", "-name", "*.png", "|", "endoexit", "predict", "run",
                             "-", "--out", "a.csv"]  # fmt: skip
    assert not command.simple


def test_only_what_takes_long_is_made_shorter():
    assert shortened(["endoexit", "audit", "images"]) == ["endoexit", "audit", "images"]
    resumed = ["endoexit", "train", "--resume", "runs/mine"]
    assert shortened(resumed) == resumed
    words = shortened(["endoexit", "train", "m.csv", "--accelerator", "gpu", "--set", "epochs=100"])
    assert words[:5] == ["endoexit", "train", "m.csv", "--accelerator", "cpu"]
    assert words.index("epochs=100") < words.index("epochs=2")  # the last one counts
