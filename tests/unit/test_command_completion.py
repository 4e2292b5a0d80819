"""Each command has an example that parses, and a shell completes our words."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.commands import split_call
from worker.command import main
from worker.command.arguments import build_parser, parse_arguments
from worker.command.completion import SHELLS
from worker.command.examples import EXAMPLES


def walk(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    families = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    for family in families:
        for name, below in family.choices.items():
            yield from walk(below, (*path, name))
    if not families:
        yield " ".join(path), parser


def test_each_command_has_an_example_in_its_help() -> None:
    commands = dict(walk(build_parser()))
    assert set(commands) == set(EXAMPLES)
    for name, parser in commands.items():
        assert "examples:\n  zaptik " + EXAMPLES[name][0] in parser.format_help()


@pytest.mark.parametrize("call", [call for calls in EXAMPLES.values() for call in calls])
def test_an_example_is_a_call_that_the_command_takes(call: str) -> None:
    [name] = [name for name, calls in EXAMPLES.items() if call in calls]
    assert call.startswith(name)
    parse_arguments(split_call(call))


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("ten", ["tenant"]),
        ("tenant re", ["resume"]),
        ("status --wa", ["--watch"]),
        ("graph export --format g", ["graphml"]),
    ],
)
def test_bash_completes_our_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, completed: list[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "zaptik"
    script.write_text(capsys.readouterr().out, "utf-8")
    typed = ["zaptik", *words.split()]
    asked = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({shlex.join(typed)}); COMP_CWORD={len(typed) - 1}; "
        '_shtab_zaptik; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    answer = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)  # noqa: S603, S607  any bash
    assert answer.stdout.split() == completed


@pytest.mark.parametrize("shell", SHELLS)
def test_with_json_the_script_is_in_a_document(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main(["completion", shell, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["shell"] == shell
    assert "zaptik" in document["script"]
