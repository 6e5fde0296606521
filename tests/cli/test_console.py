"""Progress bars show on a terminal only, and go away before others come."""

import io
import json
import sys
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import Progress as RichProgress

from endoexit.cli.console import CacheOption, Output, progress
from endoexit.home import cache_directory


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch) -> Terminal:
    """Put a terminal in the place of stderr; pytest would undo it between fixture and test."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_a_terminal_shows_a_bar_on_stderr(capsys, monkeypatch):
    terminal = open_terminal(monkeypatch)
    with progress("Reading images", 3) as bar:
        bar.advance()
        bar.advance()
    assert "Reading images" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_a_pipe_shows_nothing(capsys):
    with progress("Reading images", 3) as bar:
        bar.advance(3)
    assert capsys.readouterr() == ("", "")


def test_a_bar_that_is_full_makes_room_for_the_next(monkeypatch):
    """As in a training: decoding is counted, then the trainer draws its own bar."""
    terminal = open_terminal(monkeypatch)
    with progress("Reading images", 3) as bar:
        bar.advance(2)
        before = len(terminal.getvalue())
        bar.advance(1)
        gone = len(terminal.getvalue())
        assert gone > before  # the line was taken back
        with RichProgress(console=Console(stderr=True)) as progress_of_another:
            progress_of_another.add_task("Training", total=1)
        drawn = terminal.getvalue()[gone:]
        assert "Training" in drawn
        assert "Reading images" not in drawn


def test_with_json_text_goes_to_stderr_and_the_document_to_stdout(capsys):
    output = Output(as_json=True)
    output.say("for people")
    output.document({"n": 1, "name": "Größe"})
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"n": 1, "name": "Größe"}
    assert printed.err == "for people\n"


def test_without_json_there_is_no_document_and_warnings_go_to_stderr(capsys):
    output = Output(as_json=False)
    output.say("for [people]")
    output.document({"n": 1})
    output.warn("mind this")
    assert capsys.readouterr() == ("for [people]\n", "warning: mind this\n")


def test_the_help_names_the_folder_of_the_cache(monkeypatch):
    monkeypatch.delenv("ENDOEXIT_CACHE")
    folder = cache_directory().relative_to(Path.home())
    _, option = get_args(CacheOption)
    assert option.help.endswith(f"[default: $ENDOEXIT_CACHE or ~/{folder}]")
