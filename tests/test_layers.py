"""Who may import whom, as ARCHITECTURE.md says; what nothing imports; sizes; start-up time."""

import ast
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from endoexit.machine import busy_warning

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "endoexit"
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PACKAGE = "endoexit"

MAX_LINES = 350
HELP_SECONDS = 0.5
HELP_RATIO = 2.0
OF_HELP = ("typer.main", "rich.console", "rich.table", "rich.panel", "rich.markdown")

# Who may import torch at the start; everything else must start without it.
WITH_TORCH = (
    "models",
    "training",
    "evaluation",
    "runtime.backends.torch",
    "reporting.attention",
    "exporting",
    "bench",
    "reproduction",
    "workflow.train",
    "workflow.calibrate",
    "workflow.evaluate",
    "workflow.export",
)
TORCH = {"torch", "lightning", "kornia", "torchmetrics", "safetensors.torch", "thop"}
RAY = {"endoexit.cluster", "endoexit.archiving.actors", "endoexit.serve.replicas"}
UNPICKLING = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
POLICY_LIBRARIES = {"numpy", "scipy", "pydantic"}


@dataclass(frozen=True)
class Import:
    """One name that a module imports.

    Attributes:
        name: Name with dots; `from a import b` gives both `a` and `a.b`.
        at_start: Whether it runs when the module is imported, not inside a function.
    """

    name: str
    at_start: bool


def imports_of(source: str) -> list[Import]:
    """Return everything that a module imports, also inside functions and for type checkers."""
    return list(_imports(ast.parse(source), at_start=True))


def _imports(node: ast.AST, *, at_start: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, at_start) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: write the whole name of the module"
        yield Import(str(node.module), at_start)
        yield from (Import(f"{node.module}.{alias.name}", at_start) for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.body:
            yield from _imports(child, at_start=False)
        for child in node.orelse:
            yield from _imports(child, at_start=at_start)
    else:
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, at_start=at_start and not inside)


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
IMPORTS = {name: imports_of(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def part_of(module: str) -> str:
    """Return the file or folder under the package; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def read_layers(text: str) -> list[list[set[str]]]:
    """Read the block under "Who may import whom".

    A line is a layer; `a, b` may import each other, `a | b` may not.
    """
    block = re.search(r"## Who may import whom\n.*?```\w*\n(.*?)```", text, re.DOTALL)
    assert block, "ARCHITECTURE.md has no block of layers under 'Who may import whom'"
    return [
        [{name.strip() for name in side.split(",")} for side in line.split("|")]
        for line in block[1].strip().splitlines()
    ]


def allowed_parts(layers: list[list[set[str]]]) -> dict[str, set[str]]:
    """Return, for each part, the parts that it may import."""
    allowed: dict[str, set[str]] = {}
    below: set[str] = {""}
    for layer in layers:
        for side in layer:
            allowed |= dict.fromkeys(side, below | side)
        below = below.union(*layer)
    return allowed


LAYERS = read_layers(MAP)


def crossings(imports: dict[str, list[Import]], layers: list[list[set[str]]]) -> list[str]:
    """Return the imports that go against the layers, in words."""
    allowed = allowed_parts(layers)
    return [
        f"{module} imports {imported.name}"
        for module, names in imports.items()
        if part_of(module)
        for imported in names
        if imported.name in imports and part_of(imported.name) not in allowed[part_of(module)]
    ]


def parents(name: str) -> Iterator[str]:
    """Yield a.b.c, a.b and a: importing the first imports them all."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def started(module: str, imports: dict[str, list[Import]]) -> set[str]:
    """Return all names that are imported when `module` is, over any number of modules."""
    seen: set[str] = set()
    waiting = list(parents(module))
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for imported in imports.get(name, ()):
            if imported.at_start:
                waiting.extend(parents(imported.name))
    return seen


def is_below(module: str, parts: Iterable[str]) -> bool:
    """Tell whether a module is one of the parts of the package, or inside one."""
    return any(f"{module}.".startswith(f"{PACKAGE}.{part}.") for part in parts)


LIGHT = [module for module in FILES if not is_below(module, WITH_TORCH)]


# What is checked


def test_every_file_and_folder_has_a_layer():
    parts = {part_of(module) for module in FILES if part_of(module)}
    assert set().union(*(side for layer in LAYERS for side in layer)) == parts


def test_imports_go_down_the_layers():
    assert crossings(IMPORTS, LAYERS) == []


def test_the_map_names_every_file():
    sections = re.split(r"^### ", MAP.partition("## What is where\n")[2], flags=re.MULTILINE)[1:]
    named = set()
    for section in sections:
        heading = re.match(r"`([\w/]*)`", section)
        assert heading, f"not a folder: {section.splitlines()[0]}"
        rows = re.findall(r"^\| `([\w.]+\.py)` \| \S", section, re.MULTILINE)
        named |= {f"{heading[1]}{row}" for row in rows}
    there = {path.relative_to(ROOT).as_posix() for path in FILES.values()}
    assert named == {path for path in there if not path.endswith("__init__.py")}


def test_policy_works_on_logits_alone():
    foreign = {
        imported.name.split(".")[0]
        for module, names in IMPORTS.items()
        if part_of(module) == "policy"
        for imported in names
    }
    assert foreign - sys.stdlib_module_names - {PACKAGE} <= POLICY_LIBRARIES


def test_the_rest_starts_without_torch():
    loaded = {module: started(module, IMPORTS) & TORCH for module in LIGHT}
    assert {module: names for module, names in loaded.items() if names} == {}


def test_no_library_brings_torch_in():
    modules = [module for module in LIGHT if part_of(module) != "cli"]
    code = f"import sys, {', '.join(modules)}; print(sorted({TORCH!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_nothing_imports_torchvision_or_unpickles():
    refused = {"torchvision", *UNPICKLING}
    assert [
        f"{module} imports {imported.name}"
        for module, names in IMPORTS.items()
        for imported in names
        if imported.name.split(".")[0] in refused
    ] == []


def test_ray_is_imported_by_few_and_never_at_the_start():
    asking = {
        module: name.at_start
        for module, names in IMPORTS.items()
        for name in names
        if name.name.split(".")[0] in {"ray", "grpc"}
    }
    assert asking.keys() <= RAY
    assert not any(asking.values())


def test_no_call_unpickles():
    wrong = []
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name, call = ast.unparse(node.func), ast.unparse(node)
            safe = {"np.load": "allow_pickle=False", "torch.load": "weights_only=True"}
            if name == "yaml.load" or (name in safe and safe[name] not in call):
                wrong.append(f"{module}: {call}")
    assert wrong == []


def test_the_command_line_starts_light():
    libraries = {"typer", *sys.stdlib_module_names}
    heavy = {
        name
        for module in FILES
        if part_of(module) == "cli"
        for name in started(module, IMPORTS)
        if name.split(".")[0] not in libraries
        and name != PACKAGE
        and not is_below(name, ("errors", "cli"))
    }
    assert heavy == set()


def test_help_costs_little_more_than_the_libraries_that_print_it():
    """CPU times, measured in turn: on a busy machine both grow alike. The best of three of each.

    The first run writes the bytecode of our modules, as a user's first one does.
    """
    helping = [str(Path(sys.executable).with_name(PACKAGE)), "--help"]
    printing = [sys.executable, "-c", f"import {', '.join(OF_HELP)}"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    ours, theirs = [], []
    for _ in range(3):
        for command, seconds in ((helping, ours), (printing, theirs)):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, capture_output=True, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(ours) < HELP_RATIO * min(theirs)
    assert min(ours) < HELP_SECONDS * (1.5 if busy_warning() else 1)


def test_files_stay_small():
    lengths = {
        module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()
    }
    assert {module: lines for module, lines in lengths.items() if lines > MAX_LINES} == {}


# The checks themselves, on modules made up here


def test_imports_are_found_wherever_they_stand():
    source = """
import a.b, c
from d import e
if TYPE_CHECKING:
    import f
try:
    import g
except ImportError:
    pass
class C:
    import h
    def method(self):
        from i import j
"""
    imports = imports_of(source)
    assert {each.name for each in imports if each.at_start} == {"a.b", "c", "d", "d.e", "g", "h"}
    assert {each.name for each in imports if not each.at_start} == {"f", "i", "i.j"}


def test_relative_imports_are_refused():
    with pytest.raises(AssertionError, match="write the whole name"):
        imports_of("from . import a")


@pytest.mark.parametrize(
    ("importer", "imported", "fine"),
    [
        ("top.x", "low.x", True),
        ("low.x", "top.x", False),
        ("left.x", "right.x", False),
        ("left.x", "left.y", True),
        ("one.x", "two.x", True),
    ],
)
def test_crossings_are_found(importer, imported, fine):
    layers = read_layers("## Who may import whom\n\n```text\none, two\nlow\nleft | right\ntop\n```")
    imports = {
        f"endoexit.{importer}": [Import(f"endoexit.{imported}", at_start=False)],
        f"endoexit.{imported}": [],
    }
    expected = [] if fine else [f"endoexit.{importer} imports endoexit.{imported}"]
    assert crossings(imports, layers) == expected


def test_torch_is_found_behind_other_modules():
    imports = {
        "endoexit.a": [Import("endoexit.b.c", at_start=True)],
        "endoexit.b": [Import("torch.nn", at_start=True)],  # the folder of c
        "endoexit.b.c": [],
        "endoexit.d": [Import("endoexit.b.c", at_start=False)],
    }
    assert "torch" in started("endoexit.a", imports)
    assert "torch" not in started("endoexit.d", imports)


def test_only_the_catalog_and_the_papers_reproduction_know_hifuse():
    hifuse = "endoexit.models.hifuse"
    known = {
        module
        for module, names in IMPORTS.items()
        if not module.startswith(hifuse)
        and any(imported.name.startswith(hifuse) for imported in names)
    }
    assert known == {
        "endoexit.models.catalog",
        "endoexit.cli.reproduce",
        "endoexit.reproduction.study",
    }
