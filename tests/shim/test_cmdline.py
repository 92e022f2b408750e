"""The words of `argv_cases.json` are read as the wrapped runtime reads them; the `sh` launcher has the same table."""

import json
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_runc.shim.cmdline import COMMANDS, RUNTIMES, parse


class Case(TypedDict):
    """A command line of a runtime and what it means; the rules are named in `why`."""

    why: str
    runtime: str
    args: list[str]
    command: str | None
    bundle: str | None
    config: str | None
    log: str | None


CASES: list[Case] = json.loads(Path(__file__).with_name("argv_cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join([case["runtime"], *case["args"]]))
def test_a_line_is_read_as_its_runtime_reads_it(case: Case) -> None:
    call = parse(case["args"], case["runtime"])
    found = (call.command, call.bundle, call.config, call.log)
    assert found == (case["command"], case["bundle"], case["config"], case["log"]), case["why"]


@pytest.mark.parametrize(
    ("runtime", "args", "expected"),
    [
        ("runc", ["--log-format", "json", "create", "id"], "json"),
        ("runc", ["--log-format=json", "--log-format=text", "create", "id"], "text"),
        ("runc", ["create", "--log-format", "json", "id"], "json"),
        ("runc", ["--log-format", "json", "create", "--help"], "json"),
        ("crun", ["--log-f", "json", "create", "id"], "json"),
        ("youki", ["--log-format=json", "state", "id"], "json"),
        ("youki", ["state", "id"], None),
    ],
)
def test_the_format_of_the_log_is_found(runtime: str, args: list[str], expected: str | None) -> None:
    assert parse(args, runtime).log_format == expected


WORDS = st.sampled_from(
    [*COMMANDS, "--", "-", "", "=", "--=", "-=", "--bundle", "-b", "-bDIR", "--log=", "--help", "-d"]
)


@given(st.sampled_from([*RUNTIMES, "other"]), st.lists(st.one_of(WORDS, st.text())))
def test_no_line_is_too_odd_to_be_read(runtime: str, args: list[str]) -> None:
    given_args = list(args)
    call = parse(args, runtime)
    assert args == given_args
    assert (call.config is not None) <= (call.command in ("create", "run", "restore"))
    assert (call.bundle is not None) <= (call.config is not None)
