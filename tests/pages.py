"""Pages as programs: their fenced blocks, and a folder in which a reader would run them.

A block's language says what happens to it:

- `sh`: each line is a command and must end with 0.
- `console`: lines after `$ ` are commands. What is printed below one must be what it prints,
  where `...` stands for anything and runs of blanks and line breaks are alike. A command ends
  with 0, or with 1 or 2 where the page shows its `error:`.
- `python`: runs by itself, in a namespace of its own.
- `pycon`: lines after `>>> ` likewise, and what they print is compared.
- `yaml`: is written to the file that its first line names (`# my-recipe.yaml`).
- `text` and `md`: are shown only. Directives such as `{toctree}` are for Sphinx.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from markdown_it import MarkdownIt

import endoexit
from endoexit.artifacts.run import Run
from endoexit.cli.main import main
from endoexit.evaluation.study import Options
from endoexit.workflow.train import train

EXECUTED = {"sh", "console", "python", "pycon", "yaml"}
SHOWN = {"text", "md"}

# Not run: they make or enter the environment that the tests are in, or take a machine for itself.
SKIPPED = {"make", "source"}
# The one substitution: what would take hours runs on smaller images, on a narrower network, for
# two epochs, in few rounds. Besides, a command sees one core, because tests share the machine.
SHORTER = {
    "train": (
        "--threads", "1", "--set", "epochs=2", "--set", "image.size=32", "--set", "image.canvas=40",
        "--set", "image.early_size=32", "--set", "families.hifuse.width=16",
        "--set", "families.hifuse.heads=[1, 2, 4, 8]",
        "--set", "families.hifuse.depths=[1, 1, 1, 1]",
    ),
    "demo": ("--epochs", "1", "--images", "15"),
    "reproduce": (
        "--threads", "1", "--set", "image.size=32", "--set", "image.canvas=40",
        "--set", "image.early_size=32", "--set", "model.width=16",
        "--set", "model.heads=[1, 2, 4, 8]", "--set", "model.depths=[1, 1, 1, 1]",
    ),
}  # fmt: skip
FEW = 16  # images that int8 is fitted on
ROUNDS = 9  # in which an evaluation measures times
COLUMNS = "80"
ALIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the line at which it stands, from 1."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """One command line, and what the page shows of its output (None: nothing)."""

    line: str
    shown: str | None = None

    @property
    def words(self) -> list[str]:
        """The words, as a shell takes them apart; operators such as `|` are words."""
        words = shlex.shlex(self.line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        return list(words)

    @property
    def simple(self) -> bool:
        """Tell whether it is one program with its arguments, without pipes or redirections."""
        return not self._operators

    @property
    def file(self) -> str | None:
        """The file that standard output goes into, where that is all that a shell has to do."""
        return self.words[-1] if self._operators == self.words[-2:-1] == [">"] else None

    @property
    def _operators(self) -> list[str]:
        return [word for word in self.words if set(word) <= set("|&;<>()")]


def read_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, also those inside lists, in order."""
    return [
        Block(token.info.split()[0] if token.info.strip() else "", token.content, token.map[0] + 1)
        for token in MarkdownIt().parse(text)
        if token.type == "fence" and token.map
    ]


def read_commands(block: Block) -> list[Command]:
    """Return the commands of a `sh` or `console` block; comments and empty lines are none."""
    text = block.text.replace("\\\n", " ")
    if block.language == "sh":
        lines = (line.strip() for line in text.splitlines())
        return [Command(line) for line in lines if line and not line.startswith("#")]
    parts = re.split(r"^\$ (.*)\n?", text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"line {block.line}: output before the first `$ ` command"
    return [Command(line, shown if shown.strip() else None)
            for line, shown in zip(parts[1::2], parts[2::2], strict=True)]  # fmt: skip


class Sandbox:
    """A folder in which the blocks of one page run, one after another.

    Args:
        folder: Folder with what the page takes for given, such as images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, block: Block) -> None:
        """Run a block; AssertionError where it does not do what the page says."""
        if block.language in {"sh", "console"}:
            for command in read_commands(block):
                if command.words[0] not in SKIPPED:
                    self._check(command)
        elif block.language == "python":
            with (
                contextlib.chdir(self.folder),
                mock.patch.object(endoexit, "train", _train_shorter),
            ):
                exec(compile(block.text, f"line {block.line}", "exec"), {})  # noqa: S102
        elif block.language == "pycon":
            example = doctest.DocTestParser().get_doctest(block.text, {}, "", None, block.line)
            differences = io.StringIO()
            failed, _ = doctest.DocTestRunner(optionflags=ALIKE).run(example, out=differences.write)
            assert not failed, differences.getvalue()
        elif block.language == "yaml":
            name = re.match(r"# ([\w.-]+\.ya?ml)\n", block.text)
            assert name, f"line {block.line}: the first line must name the file: # recipe.yaml"
            (self.folder / name[1]).write_text(block.text, encoding="utf-8")

    def _check(self, command: Command) -> None:
        code, printed = (
            self._endoexit(command) if self._in_process(command) else self._bash(command)
        )
        shown = command.shown or ""
        expected = {1, 2} if re.search(r"^error: ", shown, re.MULTILINE) else {0}
        assert code in expected, f"{command.line}\nended with {code} and printed:\n{printed}"
        if command.shown is not None:
            same = doctest.OutputChecker().check_output(shown, printed, ALIKE)
            assert same, f"{command.line}\nprinted:\n{printed}\nand the page shows:\n{shown}"

    def _in_process(self, command: Command) -> bool:
        return command.words[0] == "endoexit" and (command.simple or command.file is not None)

    def _endoexit(self, command: Command) -> tuple[int, str]:
        """Run the command line here: it spares the seconds in which a process imports torch."""
        words = shortened(command.words[:-2] if command.file else command.words)
        printed, answer = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            mock.patch.object(sys, "argv", words),
            mock.patch.dict(os.environ, COLUMNS=COLUMNS),
            mock.patch.object(os, "sched_getaffinity", create=True, return_value={0}),
            mock.patch.object(os, "getloadavg", create=True, return_value=(0.0, 0.0, 0.0)),
            mock.patch("endoexit.exporting.export.IMAGES", FEW),
            mock.patch("endoexit.workflow.evaluate.Options", partial(Options, rounds=ROUNDS)),
            contextlib.redirect_stdout(answer if command.file else printed),
            contextlib.redirect_stderr(printed),
            pytest.raises(SystemExit) as end,
        ):
            main()
        if command.file:
            (self.folder / command.file).write_text(answer.getvalue(), encoding="utf-8")
        return int(end.value.code or 0), printed.getvalue()

    def _bash(self, command: Command) -> tuple[int, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command.line],
            cwd=self.folder,
            env=os.environ | {"PATH": path, "COLUMNS": COLUMNS},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout


def _train_shorter(manifest: str, **options: object) -> Run:
    """Train as `endoexit.train` does, with what makes the command short; see `SHORTER`."""
    changes = [word for word in SHORTER["train"] if "=" in word]
    return train(manifest, changes=changes, threads=1, **options)


def shortened(words: list[str]) -> list[str]:
    """Return the words of a command with what makes it short; see `SHORTER`."""
    words = ["cpu" if word == "gpu" else word for word in words]
    if "--resume" in words:  # a resumed training keeps its settings
        return words
    return [*words, *SHORTER.get(words[1] if len(words) > 1 else "", ())]
