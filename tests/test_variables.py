"""Variables have names that say what they hold: `policy`, `rows`, `mask`, not `found`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REFUSED = "found"
# Fields of documents have the names that users know: files found, in audit.json.
FIELDS = {"src/endoexit/auditing/document.py": ["found"]}
FOLDERS = ("src", "tests", "benchmarks")


def bound(source: str) -> Iterator[str]:
    """Yield every name that a source file gives to a variable, a parameter or an attribute."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(name, ast.Store()) | ast.Attribute(_, name, ast.Store()):
                yield name
            case ast.arg(name) | ast.MatchStar(name) | ast.MatchAs(name=str(name)):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name


def refused(source: str) -> list[str]:
    """Return the refused name once for each time that it is bound."""
    if REFUSED not in source:  # which spares the parsing of most files
        return []
    return [name for name in bound(source) if name == REFUSED]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_variable_is_called_found(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert len(files) > 10
    named = {
        file.relative_to(ROOT).as_posix(): refused(file.read_text(encoding="utf-8"))
        for file in files
    }
    fields = {file: names for file, names in FIELDS.items() if file.startswith(f"{folder}/")}
    assert {file: names for file, names in named.items() if names} == fields


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "a, *found = b",
        "found: int = 1",
        "found += 1",
        "for found in a: pass",
        "[found for found in a]",
        "with a as found: pass",
        "if (found := a): pass",
        "def f(found): pass",
        "def f(*, found=1): pass",
        "lambda found: found",
        "self.found = 1",
        "import a as found",
        "try: pass\nexcept E as found: pass",
        "match a:\n    case [found]: pass",
        "match a:\n    case [b, *found]: pass",
    ],
)
def test_the_name_is_seen_wherever_it_is_bound(source):
    assert refused(source) == ["found"]


@pytest.mark.parametrize(
    "source", ["f(found=1)", "print(a.found)", "'found'", "# found", "for rows in found: pass"]
)
def test_other_uses_are_fine(source):
    assert refused(source) == []
