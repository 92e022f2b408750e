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


# The options of each runtime: before the command, and after each command that starts a container. Flags, then those
# that take a value (bundle, config and log are in argv_cases.json).
BEFORE = {
    "runc": ("debug systemd-cgroup", "root rootless criu log-format"),
    "crun": ("debug systemd-cgroup", "root rootless cgroup-manager log-level log-format"),
    "youki": ("debug systemd-cgroup s systemd-log", "root r log-level log-format"),
}
RUNC_RESTORE = (
    "tcp-established ext-unix-sk shell-job file-locks detach d no-subreaper no-pivot auto-dedup lazy-pages",
    "console-socket image-path work-path manage-cgroups-mode pid-file empty-ns lsm-profile lsm-mount-context",
)
CRUN_RESTORE = (
    "tcp-established tcp-close ext-unix-sk shell-job file-locks detach d",
    "console-socket image-path work-path manage-cgroups-mode pid-file network-lock lsm-profile lsm-mount-context",
)
YOUKI_VALUES = "console-socket c pid-file p preserve-fds"
AFTER = {
    ("runc", "create"): ("no-pivot no-new-keyring", "console-socket pidfd-socket pid-file preserve-fds"),
    ("runc", "run"): ("no-pivot no-new-keyring detach d keep no-subreaper", "console-socket pidfd-socket pid-file"),
    ("runc", "restore"): RUNC_RESTORE,
    ("crun", "create"): ("no-pivot no-subreaper no-new-keyring", "console-socket preserve-fds pid-file"),
    ("crun", "run"): ("no-pivot no-subreaper no-new-keyring detach d keep", "console-socket preserve-fds pid-file"),
    ("crun", "restore"): CRUN_RESTORE,
    ("youki", "create"): ("no-pivot no-new-keyring", YOUKI_VALUES),
    ("youki", "run"): ("no-pivot no-new-keyring no-subreaper keep detach d", YOUKI_VALUES),
}


def options(names: str) -> list[str]:
    return [f"-{name}" if len(name) == 1 else f"--{name}" for name in names.split()]


@pytest.mark.parametrize(
    ("runtime", "flag"), [(runtime, flag) for runtime, (flags, _) in BEFORE.items() for flag in options(flags)]
)
def test_a_flag_before_the_command_takes_no_word(runtime: str, flag: str) -> None:
    assert parse([flag, "any-word", "id"], runtime).command == "any-word"


@pytest.mark.parametrize(
    ("runtime", "option"), [(runtime, each) for runtime, (_, values) in BEFORE.items() for each in options(values)]
)
def test_an_option_before_the_command_takes_a_word(runtime: str, option: str) -> None:
    assert parse([option, "run", "create", "id"], runtime).command == "create"
    assert parse([option], runtime).command is None


FLAGS = [(*where, flag) for where, (flags, _) in AFTER.items() for flag in options(flags)]
VALUES = [(*where, option) for where, (_, values) in AFTER.items() for option in options(values)]


@pytest.mark.parametrize(("runtime", "command", "flag"), FLAGS)
def test_a_flag_takes_no_word(runtime: str, command: str, flag: str) -> None:
    ids = ["a", "b"] if (runtime, command) == ("crun", "restore") else ["a"]
    call = parse([command, flag, *ids], runtime)
    assert (call.command, call.container) == (command, "a")
    assert parse([command, flag, *ids, "too-many"], runtime).command is None


@pytest.mark.parametrize(("runtime", "command", "option"), VALUES)
def test_an_option_takes_a_word(runtime: str, command: str, option: str) -> None:
    call = parse([command, option, "--help", "a"], runtime)
    assert (call.command, call.container, call.bundle) == (command, "a", None)
    if runtime != "crun":  # which reads no option after the container
        assert parse([command, "a", option], runtime).command is None


@pytest.mark.parametrize(
    ("runtime", "args"),
    [
        *(("runc", each) for each in (["--help"], ["-h"], ["-help"], ["--version"], ["-v"], ["--help=TRUE"])),
        *(("crun", each) for each in (["--help"], ["-?"], ["--usage"], ["--version"], ["-v"], ["-V"])),
        *(("youki", each) for each in (["--help"], ["-h"], ["--version"], ["-v"])),
    ],
)
def test_help_starts_nothing(runtime: str, args: list[str]) -> None:
    assert parse([*args, "create", "id"], runtime).command is None
    assert parse(["create", "id"], runtime).command == "create"


@pytest.mark.parametrize(
    ("runtime", "args"),
    [
        *(("runc", each) for each in ("--help", "-h", "--version", "-v")),
        *(("crun", each) for each in ("--help", "-?", "--usage", "--version", "-V")),
        *(("youki", each) for each in ("--help", "-h")),
    ],
)
@pytest.mark.parametrize("command", ["create", "run"])
def test_help_of_a_command_starts_nothing(runtime: str, args: str, command: str) -> None:
    assert parse([command, args, "id"], runtime).command is None


@pytest.mark.parametrize(
    ("value", "starts"),
    [
        *((word, True) for word in ("", "1", "t", "T", "true", "TRUE", "True")),
        *((word, True) for word in ("0", "f", "F", "false", "FALSE", "False")),
        *((word, False) for word in ("yes", "2", "tRUE", "fALSE")),
    ],
)
def test_a_flag_of_runc_may_have_a_value(value: str, starts: bool) -> None:
    assert parse(["run", f"--keep={value}", "id"], "runc").command == ("run" if starts else None)
    is_off = value in ("0", "f", "F", "false", "FALSE", "False")
    assert parse(["run", f"--help={value}", "id"], "runc").command == ("run" if is_off else None)
    for runtime in ("crun", "youki"):
        assert parse(["run", f"--keep={value}", "id"], runtime).command is None
