"""Plain English: phrases that the pages, the help texts and the docstrings do not use."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from endoexit.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "endoexit"
REFUSED = {  # pattern: what to write instead
    r"\bstands?\b(?! (for|out)\b)": "a figure is on a page, a file is in a folder",
    r"\bstood\b": "a figure was on a page, a file was in a folder",
    r"\bthe whole way\b": "every step",
    r"\blikewise\b": "repeat the word that is meant",
    r"\bin turn\b": "alternately, one after the other",
    r"\bbeside\b": "next to, compared with",
    r"\bto it comes?\b": "is added to it",
    r"\bas well as that may be\b": "say what can go wrong",
    r"\bwhose address\b": "a page has an address",
    r"\bwho (leaves?|stays?|continues?)\b": "images exit or continue; images are not persons",
    r"\bnobody\b": "no image, nothing",
    r"\b(everyone|everybody)\b": "all images",
    r"\b(leav(e|es|ing)|left) (early\b|at (its|the|an|which|every|each) |at exit)": "images exit",
    r"\blets? (an |every |some )?images? leave\b": "images exit",
    r"\bimages (that )?(leave|left)\b": "images exit",
    r"\bleav(e|es|ing) the network\b": "images exit",
    r"\bno product\b": "name the operation",
    r"\btells? no\b": "say what is not shown",
    r"\bgo(es)? on\b": "continue",
    r"\bof (one's|its|your|their|yours?) own\b": "your own X, a separate X",
    r"\bfor as long as\b": "while",
}
OPENINGS = {
    r"^(of|that|likewise|in|to|from|for|whose|called|takes)\b": "begin with the noun",
}
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")),
    *ROOT.glob("docs/*.md"),
    ROOT / "docs" / "reference" / "python.md",
)
FOLDERS = (
    ".",
    "benchmarks",
    *sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()),
)


def refused(text: str, patterns: dict[str, str] = REFUSED) -> list[str]:
    """Return every phrase of a text that is refused, with what to write instead."""
    flat = " ".join(text.split())
    return [
        f"“{flat[max(0, match.start() - 30) : match.end() + 20]}”: {remedy}"
        for pattern, remedy in patterns.items()
        for match in re.finditer(pattern, flat, re.IGNORECASE)
    ]


def prose(page: str) -> str:
    """Return a page without its blocks, code and headings of releases."""
    page = re.sub(r"^( *)(```|~~~).*?^\1\2$", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]+`", "code", page)


def texts(file: Path) -> Iterator[str]:
    """Yield the docstrings, the other strings and the comments of a source file."""
    source = file.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def docs_of_attributes(text: str) -> Iterator[str]:
    """Yield what a docstring says of each attribute or argument."""
    for match in re.finditer(r"^ {4,}\w+(?: \([^)]*\))?: (.+)$", text, re.MULTILINE):
        yield match[1]


def faults(folder: str) -> list[str]:
    """Return what is refused in a folder of the package, at its top, or in benchmarks."""
    files = SOURCE.glob("*.py") if folder == "." else (SOURCE / folder).rglob("*.py")
    if folder == "benchmarks":
        files = (ROOT / folder).rglob("*.py")
    messages = []
    for file in files:
        for text in texts(file):
            said = refused(text)
            for line in docs_of_attributes(text):
                said += refused(line, OPENINGS)
                if re.match(r"[a-z]", line):
                    said.append(f"“{line}”: begin with a capital letter")
            messages += [f"{file.name}: {sentence}" for sentence in said]
    return messages


def helps(command: typer.core.TyperCommand) -> Iterator[str]:
    """Yield the help of a command, of its options and of its subcommands."""
    yield command.help or ""
    for option in command.params:
        yield getattr(option, "help", None) or ""
    for inner in getattr(command, "commands", {}).values():
        yield from helps(inner)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_are_in_plain_english(page):
    assert refused(prose(page.read_text(encoding="utf-8"))) == []


def test_help_texts_are_in_plain_english():
    for text in helps(typer.main.get_command(app)):
        assert refused(text) == []
        assert refused(text, OPENINGS) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_and_messages_are_in_plain_english(folder):
    assert faults(folder) == []


@pytest.mark.parametrize(
    "text",
    [
        "All findings stand in audit.json.",
        "Who leaves where",
        "images that left run no later stage",
        "Every image leaves at the first exit.",
        "It is\nlikewise slow.",
    ],
)
def test_the_dialect_would_be_found(text):
    assert refused(text)


@pytest.mark.parametrize(
    "text", ["λ stands for the policy.", "Leave out what matches.", "Nothing stands out."]
)
def test_plain_words_pass(text):
    assert not refused(text)


def test_blocks_of_code_are_not_prose():
    assert not refused(prose("a\n\n   ```sh\n   echo beside\n   ```\nand `beside`\n"))


def test_attribute_docs_begin_with_a_noun():
    (line,) = docs_of_attributes("A.\n\n    Attributes:\n        seed: of the bootstrap.\n")
    assert refused(line, OPENINGS)
