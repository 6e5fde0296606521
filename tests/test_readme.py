"""What the pages say agrees with the code: commands, targets, links, numbers, versions.

`test_docs.py` runs their blocks.
"""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

import endoexit
from endoexit.cli.main import app
from endoexit.models.spec import NetworkSpec
from pages import read_blocks, read_commands

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("docs/*.md"))
}
README = PAGES["README.md"]
REFERENCE = ROOT / "docs" / "reference"  # most of it is made when the site is built
COMMANDS = typer.main.get_command(app).commands


def shell_commands(text: str) -> list[list[str]]:
    """Return every command of the blocks for a shell, pipes taken apart, as words."""
    commands = []
    for block in read_blocks(text):
        for line in read_commands(block) if block.language in {"sh", "console"} else ():
            command: list[str] = []
            for word in line.words:
                if set(word) <= set("|&;<>"):
                    commands.append(command)
                    command = []
                else:
                    command.append(word)
            commands.append(command)
    return [command for command in commands if command]


def check_command(words: list[str]) -> None:
    """Parse a command of the package as the command line does, without running it."""
    _, name, *rest = words
    assert name in COMMANDS, f"there is no command endoexit {name}"
    command = COMMANDS[name]
    if hasattr(command, "commands"):  # a group
        inner, *rest = rest
        assert inner in command.commands, f"there is no command endoexit {name} {inner}"
        command = command.commands[inner]
    command.make_context(name, rest)


USED = [
    pytest.param(words, id=f"{page}: {' '.join(words)}")
    for page, text in PAGES.items()
    for words in shell_commands(text)
    if words[0] == "endoexit"
]


@pytest.mark.parametrize("words", USED)
def test_commands_parse(words):
    check_command(words)


def test_the_way_on_own_images_is_complete():
    names = [words[1] for words in shell_commands(README) if words[0] == "endoexit"]
    way = list(dict.fromkeys(names))
    assert way == ["audit", "split", "train", "calibrate", "evaluate", "report", "predict"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("endoexit predict runs/mine a.png --treshold 0.9", "--treshold"),
        ("endoexit predict runs/mine a.png --threshold 9", "less than or equal to 1"),
        ("endoexit predict runs/mine", "paths"),
        ("endoexit forecast a.png", "no command endoexit forecast"),
        ("endoexit reproduce table4", "no command endoexit reproduce table4"),
    ],
)
def test_a_wrong_command_would_be_found(line, message):
    (words,) = shell_commands(f"```sh\n{line} > out.txt  # said here\n```\n")[:1]
    with pytest.raises(Exception, match=message):
        check_command(words)


def test_commands_are_read_as_a_shell_reads_them():
    text = "  ```sh\n  find x -name '*.png' | endoexit predict run - \\\n    --out a.csv\n  ```\n"
    assert shell_commands(text) == [
        ["find", "x", "-name", "*.png"],
        ["endoexit", "predict", "run", "-", "--out", "a.csv"],
    ]


def test_the_table_names_every_command():
    named = re.findall(r"^\| `endoexit (\w+)` \| \w", README, re.MULTILINE)
    assert sorted(named) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist(page):
    for name in re.findall(r"`endoexit ([a-z]\w*)", PAGES[page]):
        assert name in COMMANDS


def test_the_first_screen_says_what_it_is_why_and_how_to_start():
    top = README.splitlines()[:35]
    assert any(line.startswith("make demo") for line in top)
    assert any(line.startswith("make test") for line in top)
    assert any("Research use only. Not a medical device." in line for line in top)
    assert any(line.startswith("**Measured on ") for line in top)
    assert any("](docs/images/" in line for line in top)


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    used = {words[1] for words in shell_commands(PAGES[page]) if words[0] == "make"}
    used |= set(re.findall(r"`make ([a-z0-9-]+)", PAGES[page]))
    assert used <= set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_scripts_exist(page):
    for name in re.findall(r"python (benchmarks/\w+\.py)", PAGES[page]):
        assert (ROOT / name).is_file()


def test_every_benchmark_is_described():
    described = re.findall(r"^\| `(\w+\.py)` \| \w", PAGES["benchmarks/README.md"], re.MULTILINE)
    assert sorted(described) == sorted(path.name for path in ROOT.glob("benchmarks/*.py"))


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if file.parent == REFERENCE / "api":
            assert importlib.util.find_spec(file.name), target
            continue
        assert file.exists() or file == REFERENCE / "commands.md", target
        if anchor:
            text = file.read_text(encoding="utf-8")
            for included in re.findall(r"^```{include} (\S+)$", text, re.MULTILINE):
                text += (file.parent / included).read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            assert anchor in map(slug, headings), target


def test_results_have_their_places():
    for name in ("why", "real", "table3", "runtime", "guarantee"):
        assert README.count(f"<!-- {name}:begin -->") == README.count(f"<!-- {name}:end -->") == 1


def test_the_sizes_of_networks_are_those_counted():
    span = r"([\d.]+) … ([\d.]+)"
    rows = re.findall(
        rf"^\| `(ee_\w+|efficientnet_\w+)` \|.*\| {span} \| {span} \|$", README, re.MULTILINE
    )
    assert len(rows) == 6
    for name, *printed in rows:
        cost = NetworkSpec(name, 8, 224).complexity
        counted = [cost.parameters[0] / 1e6, cost.parameters[-1] / 1e6,
                   cost.macs[0] / 1e9, cost.macs[-1] / 1e9]  # fmt: skip
        for value, text in zip(counted, printed, strict=True):
            decimals = len(text.partition(".")[2])
            assert f"{value:.{decimals}f}" == text


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == endoexit.__version__
    assert project["license"] == citation["license"]
    assert endoexit.__version__ in PAGES["CHANGELOG.md"]
