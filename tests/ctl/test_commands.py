"""What holds for all commands: their help, the options that they share, hints at what was meant."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cdi_runc.ctl import main
from cdi_runc.ctl.commands import Context, Group


def each(context: click.Context) -> Iterator[click.Context]:
    """cdictl, its commands and theirs."""
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command
            yield from each(Context(command, info_name=name, parent=context, terminal_width=80))


ALL = list(each(Context(main, info_name="cdictl", terminal_width=80)))
GROUPS = [context for context in ALL if isinstance(context.command, click.Group)]


def name_of(context: click.Context) -> str:
    return context.command_path


@pytest.mark.parametrize("context", ALL, ids=name_of)
def test_help_has_80_columns_and_whole_sentences(context: click.Context) -> None:
    text = context.get_help()
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert [line for line in text.splitlines() if re.search(r"[a-z,]\.\.\.$|\w-$", line)] == []


@pytest.mark.parametrize("context", GROUPS, ids=name_of)
def test_a_list_of_commands_has_one_line_for_each(context: click.Context) -> None:
    group = context.command
    assert isinstance(group, Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        whole = re.escape(command.get_short_help_str(1000))
        assert re.search(rf"\n  {name}  +{whole}(\n|$)", context.get_help())


@pytest.mark.parametrize("context", ALL, ids=name_of)
def test_what_is_a_file_is_completed_as_one(context: click.Context) -> None:
    files = {"FILE", "DIR", "PATH", "BUNDLE", "NODE"}
    for param in context.command.params:
        words = set((param.metavar or "").strip("[].").replace("]...", "").split("|"))
        if words & files:
            assert isinstance(param.type, click.Path) or param._custom_shell_complete, param.name


@pytest.mark.parametrize(
    "words",
    [
        ["--spec-dir", "DIR", "devices", "-o", "json"],
        ["devices", "-o", "json", "--spec-dir", "DIR"],
        ["-o", "json", "devices", "--spec-dir", "DIR"],
        ["devices", "--config", "CONFIG", "-o", "json"],
        ["--spec-dir", "/none", "devices", "-o", "json", "--spec-dir", "DIR"],
    ],
    ids=" ".join,
)
def test_options_stand_before_and_after_the_command(spec_dir: Path, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "config.yaml").write_text(f"spec-dirs: [{spec_dir}]\n")
    places = {"DIR": str(spec_dir), "CONFIG": str(tmp_path / "config.yaml")}
    result = CliRunner().invoke(main, [places.get(word, word) for word in words])
    assert [device["name"] for device in json.loads(result.stdout)["devices"]] == [
        "vendor.com/gpu=0",
        "vendor.com/gpu=1",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "--spec-dir", "DIR", "-o", "json", "device", "vendor.com/gpu=0"],
        ["explain", "device", "-o", "json", "vendor.com/gpu=0", "--spec-dir", "DIR"],
    ],
    ids=" ".join,
)
def test_options_stand_between_a_group_and_its_command(spec_dir: Path, words: list[str]) -> None:
    result = CliRunner().invoke(main, [str(spec_dir) if word == "DIR" else word for word in words])
    assert (result.exit_code, json.loads(result.stdout)["causes"]) == (0, [])


@pytest.mark.parametrize("words", ["", "help", "spec", "engine", "explain", "spec transform"])
def test_a_group_alone_shows_its_help(words: str) -> None:
    result = CliRunner().invoke(main, words.split(), prog_name="cdictl")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: cdictl")


@pytest.mark.parametrize("words", [["doctor"], ["spec"], ["spec", "new"], ["engine", "enable"]], ids=" ".join)
def test_help_of_a_command(words: list[str]) -> None:
    asked = CliRunner().invoke(main, ["help", *words], prog_name="cdictl")
    assert (asked.exit_code, asked.stdout) == (
        0,
        CliRunner().invoke(main, [*words, "--help"], prog_name="cdictl").stdout,
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["divices"], "Did you mean 'devices'?"),
        (["spec", "nwe"], "Did you mean 'new'?"),
        (["help", "spec", "nwe"], "Did you mean 'new'?"),
        (["help", "doktor"], "Did you mean 'doctor'?"),
        (["help", "doctor", "new"], "cdictl doctor has no commands of its own"),
        (["spec", "transform", "rot"], "Did you mean 'root'?"),
        (["explain", "bundel"], "Did you mean 'bundle'?"),
        (["engine", "enable", "dokcer"], "Did you mean 'docker'?"),
        (["engine", "enable", "Docker"], "Did you mean 'docker'?"),
        (["engine", "lst"], "Did you mean 'list'?"),
        (["devices", "-o", "jsno"], "Did you mean 'json'?"),
        (["-o", "jsno", "devices"], "Did you mean 'json'?"),
        (["render", "quadled", "a.b/c=d"], "Did you mean 'quadlet'?"),
        (["completion", "basch"], "Did you mean 'bash'?"),
    ],
    ids=" ".join,
)
def test_what_was_meant(words: list[str], hint: str) -> None:
    result = CliRunner().invoke(main, words, prog_name="cdictl")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert hint in result.stderr
