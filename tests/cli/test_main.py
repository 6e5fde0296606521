"""What every command has: a help with an example, --json; and the command line without one."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

import endoexit
from endoexit.cli.main import app
from tiny_project import command as script

runner = CliRunner()


def commands(group=None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_prints_json(name):
    command = COMMANDS[name]
    assert re.search(rf"Example: `endoexit {name}[ `]", command.help)
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert all(parameter.help for parameter in command.params), "an option without a help"
    shown = runner.invoke(app, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "Example: endoexit" in " ".join(shown.stdout.split()).replace("│ ", "")


def test_the_version_is_the_packages():
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"endoexit {endoexit.__version__}\n")


def test_no_command_and_an_unknown_one_are_wrong_usage():
    nothing = runner.invoke(app, [])
    assert nothing.exit_code == 2
    assert "Usage" in nothing.output
    unknown = runner.invoke(app, ["predikt"])
    assert unknown.exit_code == 2
    assert "No such command 'predikt'" in unknown.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["audit"], ["audit", "nowhere"]])
def test_the_module_behaves_as_the_script(arguments, tmp_path):
    module = [sys.executable, "-m", "endoexit", *arguments]
    from_module, from_script = (
        subprocess.run(line, check=False, capture_output=True, text=True, cwd=tmp_path)
        for line in (module, script(*arguments))
    )
    assert (from_module.returncode, from_module.stdout, from_module.stderr) == (
        from_script.returncode, from_script.stdout, from_script.stderr
    )  # fmt: skip
