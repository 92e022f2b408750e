"""The launcher takes its short cuts only where Python would take them too, on every shell that it may meet."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdi_runc.shim.cmdline import parse
from cdi_runc.shim.runtime import LAUNCHER
from tests.shim.conftest import START, Launcher, bundle, executable, make_launcher, shell

STARTS = ("create", "run", "restore")
CASES: list[dict[str, Any]] = json.loads(Path(__file__).parents[1].joinpath("argv_cases.json").read_text())

pass_through = [
    ["state", "id"],
    ["--root", "/run/x", "--log", "/b/log.json", "--log-format", "json", "--systemd-cgroup", "start", "id"],
    ["--root=create", "--debug", "delete", "--force", "create"],
    ["--root", "create", "kill", "id", "KILL"],
    ["--log", "run", "exec", "--bundle", "x", "id", "create"],
    ["--version"],
    ["features"],
]
sees_nothing_asked_for = [
    ["create", "--bundle", "plain", "id"],
    ["--root", "/run/x", "--log=l", "create", "--bundle", "plain", "--pid-file", "p", "--console-socket", "s", "id"],
    ["--rootless=false", "create", "-b", "plain", "--preserve-fds=2", "--no-pivot", "--no-new-keyring", "id"],
    ["run", "--bundle=plain", "--detach", "--keep", "id"],
    ["run", "-d", "--no-subreaper", "-b", "plain", "create"],
    ["--root", "create", "run", "--bundle", "plain", "id"],
]
leaves_to_python = [
    ["create", "--bundle", "asks", "id"],
    ["--root", "plain", "run", "-b", "asks", "id"],
    ["create", "--bundle", "plain", "--bundle", "asks", "id"],
    ["create", "-bplain", "id"],
    ["create", "--bundle=", "id"],
    ["create", "--bundle", "missing", "id"],
    ["create", "id"],
    ["create", "--bundle", "plain"],
    ["create", "--bundle", "plain", "id", "more"],
    ["create", "--bundle", "plain", "--", "id"],
    ["create", "--bundle", "plain", "--pid-file"],
    ["create", "--no-such-option", "--bundle", "plain", "id"],
    ["restore", "--bundle", "plain", "id"],
    ["--rootless", "state", "create", "--bundle", "plain", "id"],
    ["-bundle", "state", "id"],
    ["--cdi-version"],
    ["--cdi-runtime=bin/runc", "state", "id"],
    [],
    [""],
]


@pytest.mark.parametrize("args", pass_through + sees_nothing_asked_for, ids=" ".join)
def test_python_is_not_started_for_what_asks_for_nothing(launcher: Launcher, args: list[str]) -> None:
    assert launcher.decide(args) == f"{launcher.directory}/bin/runc"


# What only some runtimes know: the runtime, and a line that Python is not needed for.
of_one_runtime = [
    ("crun", "--cgroup-manager systemd --log-level debug --root /run/crun state id"),
    ("crun", "--cgroup-manager=cgroupfs --log-level=error --log=file:/l delete --force id"),
    ("crun", "--cgroup-manager disabled create --bundle plain --no-subreaper id"),
    ("crun", "create --config plain/config.json --bundle asks id"),
    ("crun", "run -f plain/config.json id"),
    ("crun", "create --config=config.json -b plain id"),
    ("runc", "--root /run/x create --bundle plain --pidfd-socket s id"),
    ("runc", "create --bundle plain --pidfd-socket=s id"),
    ("youki", "-r /run/x -l /log --log-level info -s --systemd-log delete id"),
    ("youki", "--log-level=info create --bundle plain -p pid -c socket id"),
    ("youki", "info"),
    ("crun", "mounts get id"),
]
# The same words in a line of another runtime, or with a file that asks.
python_of_one_runtime = [
    ("runc", "--cgroup-manager systemd state id"),
    ("youki", "--cgroup-manager systemd state id"),
    ("runc", "--log-level debug state id"),
    ("runc", "-s state id"),
    ("runc", "create --config plain/config.json --bundle plain id"),
    ("crun", "create --config asks/config.json --bundle plain id"),
    ("crun", "create --config config.json --bundle asks id"),
    ("crun", "create -f plain/config.json --config=asks/config.json id"),
    ("crun", "create -fplain/config.json id"),
    ("crun", "create --bundle plain --pidfd-socket s id"),
    ("runc", "create --bundle plain --no-subreaper id"),
    ("runc", "create --bundle plain -p pid id"),
]


@pytest.mark.parametrize(("name", "line"), of_one_runtime)
def test_a_runtime_s_own_options_are_passed_through(launcher: Launcher, name: str, line: str) -> None:
    assert launcher.decide(line.split(), name) == f"{launcher.directory}/bin/{name}"


@pytest.mark.parametrize(("name", "line"), python_of_one_runtime)
def test_another_runtime_s_options_are_for_python(launcher: Launcher, name: str, line: str) -> None:
    assert launcher.decide(line.split(), name) == "python"


def test_the_options_are_those_of_the_runtime_that_is_wrapped(launcher: Launcher) -> None:
    line = ["--cgroup-manager", "systemd", "state", "id"]
    crun = f"{launcher.directory}/bin/crun"
    assert launcher.decide([f"--cdi-runtime={crun}", *line]) == crun
    other = executable(launcher.directory / "crun-vm", '#!/bin/sh\necho "$0"\n')
    assert launcher.decide([f"--cdi-runtime={other}", *line]) == str(other)
    unknown = executable(launcher.directory / "crun.real", '#!/bin/sh\necho "$0"\n')
    assert launcher.decide([f"--cdi-runtime={unknown}", *line]) == "python"
    assert launcher.decide([f"--cdi-runtime={unknown}", *line], "crun") == str(unknown)


@pytest.mark.parametrize("link", ["/dev/zero", "/proc/kmsg", "config.json.real"])
def test_a_config_json_that_is_a_link_is_for_python(launcher: Launcher, link: str) -> None:
    config = launcher.directory / "plain" / "config.json"
    config.rename(launcher.directory / "plain" / "config.json.real")
    config.symlink_to(link)
    assert launcher.decide(["create", "--bundle", "plain", "id"]) == "python"


@pytest.mark.parametrize("path", ["", ":BIN", "BIN:", "BIN::/bin", "bin:BIN", "BIN:.", "BIN:../bin"])
def test_a_path_that_leads_to_the_working_directory_is_for_python(launcher: Launcher, path: str) -> None:
    executable(launcher.directory / "runc", "#!/bin/sh\necho run by mistake\n")
    executable(launcher.directory / "grep", "#!/bin/sh\necho run by mistake\n")
    environ = {"PATH": path.replace("BIN", f"{launcher.directory}/bin")}
    for args in (["state", "id"], ["create", "--bundle", "plain", "id"]):
        assert launcher.decide(args, env=environ) == "python"
        runtime = f"--cdi-runtime={launcher.directory}/bin/runc"
        assert launcher.decide([runtime, *args], env=environ) == "python"


WORDS_OF_THE_LAUNCHER = [
    *("read", "readlink", "echo", "grep", "command", "builtin", "true", "false", "test"),
    *("_cdi_is_certain", "_cdi_read_argv"),
]
# With --posix, bash itself refuses to start with functions of these names.
NOT_WITH_POSIX = ["[", "exec", "unset", "export", "set", "shift", "return", "exit", "continue", "break", ":"]


@pytest.mark.parametrize("mode", ["sh", "bash --posix", "bash"])
def test_no_function_of_the_environment_is_run(tmp_path: Path, mode: str) -> None:
    bash = shell("bash")[0]
    (tmp_path / "sh").symlink_to(bash)
    command = [str(tmp_path / "sh")] if mode == "sh" else [bash, *mode.split()[1:]]
    launcher = make_launcher(tmp_path, command)
    for value in ("() { return 1; }", "() { return 0; }", "() { echo run by mistake; }"):
        words = WORDS_OF_THE_LAUNCHER + (NOT_WITH_POSIX if mode != "bash --posix" else [])
        environ = {f"BASH_FUNC_{word}%%": value for word in words}
        for args, wanted in (
            (["state", "id"], f"{tmp_path}/bin/runc"),
            (["create", "--bundle", "plain", "id"], f"{tmp_path}/bin/runc"),
            (["create", "--bundle", "asks", "id"], "python"),
            (["--cdi-version"], "python"),
        ):
            assert launcher.decide(args, env=environ) == wanted, (value, args)


def test_no_option_of_bash_is_taken_from_the_environment(tmp_path: Path) -> None:
    launcher = make_launcher(tmp_path, shell("bash"))
    environ = {"SHELLOPTS": "errexit:noglob:nounset"}
    assert launcher.decide(["state", "id"], env=environ).endswith("/bin/runc")
    assert launcher.decide(["create", "--bundle", "asks", "id"], env=environ) == "python"


@pytest.mark.parametrize("args", leaves_to_python, ids=" ".join)
def test_python_decides_where_the_launcher_is_not_certain(launcher: Launcher, args: list[str]) -> None:
    assert launcher.decide(args) == "python"


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join([case["runtime"], *case["args"]]))
def test_the_launcher_agrees_with_python_on_every_command_line(case: dict[str, Any], tmp_path: Path) -> None:
    launcher = make_launcher(tmp_path, shell("dash"))
    name = case["runtime"] if case["runtime"] in ("runc", "crun", "youki") else "runc"
    if launcher.decide(case["args"], name) != "python":
        call = parse(case["args"], name)
        assert call.command not in STARTS or call.config is None, case["why"]


words = st.sampled_from(
    [
        *(
            "create",
            "run",
            "restore",
            "state",
            "exec",
            "delete",
            "id",
            "asks",
            "plain",
            "",
            "create run",
            "./asks",
            "asks/",
        ),
        *("--bundle", "-b", "--bundle=asks", "--bundle=plain", "-basks", "--bundle=", "-bundle", "--bund", "-db", "-d"),
        *(
            "--root",
            "--root=x",
            "--log",
            "--rootless",
            "--rootless=true",
            "--debug",
            "--systemd-cgroup",
            "--config",
            "-f",
            "--config=asks/config.json",
            "--cgroup-manager",
            "--log-level=debug",
            "-l",
            "-s",
        ),
        *(
            "--pid-file",
            "--pid-file=x",
            "--console-socket",
            "--preserve-fds",
            "--pidfd-socket",
            "-p",
            "--no-subreaper",
            "--detach",
            "--no-pivot",
            "--no-pivot=true",
        ),
        *("--", "-", "--help", "--version", "-v", "asks/config.json", "a,--bundle", "-x,--config"),
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(words, max_size=8), name=st.sampled_from(["runc", "crun", "youki"]))
def test_no_request_is_missed_however_it_is_typed(tmp_path: Path, args: list[str], name: str) -> None:
    launcher = make_launcher(tmp_path, shell("dash"))
    call = parse(args, name)
    if call.command in STARTS and call.config and "asks" in (tmp_path / call.config).resolve().parts:
        assert launcher.decide(args, name) == "python"


def hidden(text: str, choose: random.Random) -> str:
    """JSON for a text, each letter of it written in one of the ways that JSON has."""
    ways = {
        letter: [letter, f"\\u{ord(letter):04x}", f"\\u{ord(letter):04X}"] + (["\\/"] if letter == "/" else [])
        for letter in text
    }
    return '"' + "".join(choose.choice(ways[letter]) for letter in text) + '"'


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choose=st.randoms(use_true_random=False), name=st.sampled_from(["dash", "busybox"]))
def test_no_request_is_missed_however_json_hides_it(tmp_path: Path, choose: random.Random, name: str) -> None:
    launcher = make_launcher(tmp_path, shell(name))
    key = hidden("cdi.k8s.io/x", choose)
    space = choose.choice(["", " ", "\n", "\r\n\t", "\n" * 70000])
    text = f'{{{space}"annotations"{space}:{space}{{{key}{space}:{space}{hidden("vendor.com/gpu=0", choose)}}}{space}}}'
    assert json.loads(text) == {"annotations": {"cdi.k8s.io/x": "vendor.com/gpu=0"}}
    (tmp_path / "plain" / "config.json").write_text(text)
    assert launcher.decide(["create", "--bundle", "plain", "id"]) == "python"


def test_what_go_escapes_is_no_request(launcher: Launcher) -> None:
    (launcher.directory / "plain" / "config.json").write_text(
        r'{"process":{"args":["a \u0026\u0026 b \u003e c \u003C d"]}}'
    )
    assert launcher.decide(["create", "--bundle", "plain", "id"]).endswith("/bin/runc")


def test_a_system_config_counts_unless_another_is_named(launcher: Launcher) -> None:
    executable(launcher.directory / "other", '#!/bin/sh\necho "$0"\n')
    (launcher.directory / "etc").mkdir()
    (launcher.directory / "etc" / "config.yaml").write_text(f"runtimes:\n  runc: {launcher.directory}/other\n")
    assert launcher.decide(["state", "id"]) == f"{launcher.directory}/other"
    assert launcher.decide(["--cdi-config=/nowhere", "state", "id"]) == "python"
    assert launcher.decide([f"--cdi-runtime={launcher.directory}/bin/crun", "state", "id"]).endswith("/bin/crun")


def test_a_user_s_own_config_is_for_python_to_weigh(launcher: Launcher) -> None:
    own = launcher.directory / ".config" / "cdi-runc"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("")
    assert launcher.decide(["state", "id"]) == "python"
    assert launcher.decide(["state", "id"], env={"XDG_CONFIG_HOME": "/nowhere"}).endswith("/bin/runc")


@pytest.mark.parametrize("link", ["symlink", "hard link", "directory", "not executable"])
def test_a_runtime_that_is_none_is_for_python_to_tell(launcher: Launcher, link: str) -> None:
    runtime = launcher.directory / "bin" / "runc"
    runtime.unlink()
    if link == "symlink":
        runtime.symlink_to("../cdi-runc")
    elif link == "hard link":
        runtime.hardlink_to(launcher.directory / "cdi-runc")
    elif link == "directory":
        runtime.mkdir(mode=0o755)
    else:
        runtime.touch()
    assert launcher.decide(["state", "id"], env={"PATH": f"{launcher.directory}/bin"}) == "python"


def test_frozen_code_is_started_by_the_python_it_was_frozen_for(launcher: Launcher) -> None:
    asks = ["create", "--bundle", "asks", "id"]
    python = executable(launcher.directory / "python3.99", '#!/bin/sh\necho "3.99 starts ${7##*/}"\n')
    assert launcher.decide(asks) == "python"
    frozen = launcher.directory / "lib" / "cdi_runc" / "shim" / "start" / "__pycache__"
    frozen.mkdir(parents=True)
    (frozen / "frozen-3.98.pyc").write_text("for a Python that is gone")
    (frozen / "frozen-3.99.pyc").write_text("code")
    assert launcher.decide(asks) == "3.99 starts frozen-3.99.pyc"
    python.unlink()
    assert launcher.decide(asks) == "python"


def test_without_python_only_what_starts_containers_fails(launcher: Launcher) -> None:
    text = (launcher.directory / "cdi-runc").read_text()
    for path in (f"{launcher.directory}/python", "/usr/bin/python3", "/usr/local/bin/python3"):
        text = text.replace(path, "/nowhere/python3")
    executable(launcher.directory / "cdi-runc", text)

    def call(*args: str) -> "subprocess.CompletedProcess[str]":
        command = [*launcher.shell, str(launcher.directory / "cdi-runc"), *args]
        environ = {"PATH": f"{launcher.directory}/bin:/usr/bin:/bin"}
        return subprocess.run(command, cwd=launcher.directory, env=environ, capture_output=True, text=True, timeout=60)

    assert call("state", "id").stdout.endswith("/bin/runc\n")
    assert call("create", "--bundle", "plain", "id").stdout.endswith("/bin/runc\n")
    assert call("--rootless", "true", "kill", "id").stdout.endswith("/bin/runc\n")
    refused = call("create", "--bundle", "asks", "id")
    assert refused.returncode == 1
    assert refused.stderr.startswith("cdi-runc: no python3 ")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["create", "--bundle", "asks", "id"], ["--cdi-version"]])
def test_without_its_library_only_what_needs_it_fails(launcher: Launcher, args: list[str]) -> None:
    (launcher.directory / "lib" / "cdi_runc" / "shim" / "start" / "boot.py").unlink()
    assert launcher.decide(["--rootless", "true", "kill", "id"]).endswith("/bin/runc")
    command = [*launcher.shell, str(launcher.directory / "cdi-runc"), *args]
    refused = subprocess.run(command, cwd=launcher.directory, capture_output=True, text=True, timeout=20)
    assert refused.returncode == 1
    assert refused.stderr.startswith("cdi-runc: its library is not in ")
    assert refused.stderr.count("\n") == 1


def test_the_launcher_starts_as_the_copies_of_it_are_known_by() -> None:
    assert (START / "launcher.sh").read_bytes().startswith(LAUNCHER)


@pytest.mark.parametrize("args", [["create", "-b", "bundle", "id"], ["run", "--config", "other.json", "id"]])
def test_python_takes_back_the_edits_of_an_earlier_run(launcher: Launcher, args: list[str]) -> None:
    """A bundle may ask for nothing any more."""
    directory = bundle(launcher.directory / "bundle")
    (launcher.directory / "other.json").write_text("{}")
    assert launcher.decide(args, "crun").endswith("/bin/crun")
    (directory / ".config.json.after-cdi-runc").touch()
    (launcher.directory / ".other.json.after-cdi-runc").touch()
    assert launcher.decide(args, "crun") == "python"
