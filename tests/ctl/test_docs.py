import re
from pathlib import Path

import click
import pytest

from cdi_runc.ctl import COMMANDS, main
from tests.ctl.docs import PAGES, examples


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_shows_what_cdictl_prints(tmp_path: Path, page: Path) -> None:
    wrong = [example for example in examples(page.read_text("utf-8"), tmp_path) if not example.holds]
    assert [(example.command, example.printed) for example in wrong] == []


def test_every_command_has_an_example() -> None:
    page = "\n".join(page.read_text("utf-8") for page in PAGES)
    commands = set()
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        commands |= {f"{name} {inner}" for inner in command.commands} if isinstance(command, click.Group) else {name}
    shown = re.findall(r"^\$ .*?\bcdictl (.*)$", page, re.MULTILINE)
    elsewhere = {name for name in commands if name.startswith("engine ")}  # docs/engines.md
    assert {
        name for name in commands - elsewhere if not any(f"{line} ".startswith(f"{name} ") for line in shown)
    } == set()
