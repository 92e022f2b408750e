"""The runtime starts as if the shim had never been there, and is never the shim again."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from integration.bundles import REQUEST, oci_config
from integration.conftest import BIN

# What a program can see of how it was started.
SHOW = r"""
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
extern char **environ;
int main(int count, char **args) {
    char cwd[4096];
    for (int i = 1; i < count; i++) printf("argument %s\n", args[i]);
    for (char **entry = environ; *entry; entry++) printf("variable %s\n", *entry);
    sigset_t blocked;
    sigprocmask(0, 0, &blocked);
    for (int number = 1; number < 65; number++) {
        struct sigaction action;
        if (!sigaction(number, 0, &action) && action.sa_handler == SIG_IGN) printf("ignored %d\n", number);
        if (sigismember(&blocked, number) == 1) printf("blocked %d\n", number);
    }
    int descriptors = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory)) descriptors++;
    printf("descriptors %d\numask %o\ncwd %s\n", descriptors, umask(0), getcwd(cwd, sizeof cwd));
    return 0;
}
"""

# What leads a shell or Python astray, what is no UTF-8, what is empty, what looks like a name of the shim's own.
HOSTILE = {
    "PATH": "/usr/bin:/bin",
    "EMPTY": "",
    "BYTES": "b\udce9r\udcff",
    "ENV": "/nowhere/evil.sh",
    "BASH_ENV": "/nowhere/evil.sh",
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "PYTHONSTARTUP": "/nowhere/evil.py",
    "target": "t",
    "OLDPWD": "/",
    "PWD": "/",
}
LOCALES = [
    {},
    {"LC_CTYPE": "C"},
    {"LC_CTYPE": ""},
    {"LC_ALL": "C"},
    {"LANG": "C"},
    {"LC_CTYPE": "xx", "LANG": "ja.EUC"},
]
# What a caller may block: what shells and Python care for, and one that only /proc/self/status tells of.
BLOCKED = {signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD, signal.SIGRTMIN + 7}
SHELLS = {"dash": [], "bash": ["--posix"], "busybox": ["sh"]}
LINES = {
    "asks": ["--root", "/r", "create", "--bundle", "asks", "i\udcffd"],
    "asks for nothing": ["create", "--bundle", "plain", "id"],
    "passed through": ["state", "a b", ""],
    "odd": ["--rootless", "true", "run", "-b", "plain", "--", "id"],
}


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (make deps)")
    directory = tmp_path_factory.mktemp("show")
    (directory / "show.c").write_text(SHOW)
    subprocess.run(
        [compiler, "-static", "-o", str(directory / "show"), str(directory / "show.c")], check=True, timeout=60
    )
    return directory / "show"


def seen(command: list[str], env: Mapping[str, str], cwd: Path, ignored: list[signal.Signals]) -> list[str]:
    """What `show` says in the end, when it is started with some signals ignored, some blocked, and open descriptors."""

    def prepare() -> None:
        os.umask(0o027)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)

    pipe = os.pipe()
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, pass_fds=pipe, preexec_fn=prepare, capture_output=True, timeout=60
        )
    finally:
        for descriptor in pipe:
            os.close(descriptor)
    assert (done.returncode, done.stderr) == (0, b"")
    return sorted(done.stdout.decode(errors="surrogateescape").splitlines())


@pytest.fixture
def plain_settings(tmp_path: Path, spec_dir: Path) -> Path:
    """Settings as people write them, which the launcher reads itself."""
    path = tmp_path / "config.yaml"
    path.write_text(f"# ours\nspec-dirs:\n  - {spec_dir}\n")
    return path


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", SHELLS)
def test_the_runtime_gets_the_caller_s_signal_mask(
    show: Path, plain_settings: Path, tmp_path: Path, name: str, line: str
) -> None:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (make deps)")
    for directory, annotations in (("asks", REQUEST), ("plain", {})):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "config.json").write_text(json.dumps(oci_config(["true"], annotations)))
    shim = [path, *SHELLS[name], str(BIN / "cdi-runc"), f"--cdi-runtime={show}", f"--cdi-config={plain_settings}"]
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)}
    told = seen([*shim, *LINES[line]], env, tmp_path, [])
    blocked = {int(one.split()[1]) for one in told if one.startswith("blocked ")}
    # bash unblocks SIGCHLD when it starts, before it reads the launcher.
    assert blocked == {int(number) for number in BLOCKED} - ({int(signal.SIGCHLD)} if name == "bash" else set())
    assert ("hooks" in json.loads((tmp_path / "asks/config.json").read_text())) == (line == "asks")


@pytest.mark.parametrize("ignored", [[], [signal.SIGPIPE], [signal.SIGXFSZ, signal.SIGUSR1]], ids=str)
@pytest.mark.parametrize("locale", LOCALES, ids=str)
@pytest.mark.parametrize("line", LINES)
def test_the_runtime_starts_as_it_would_have(
    show: Path, plain_settings: Path, tmp_path: Path, line: str, locale: dict[str, str], ignored: list[signal.Signals]
) -> None:
    for name, annotations in (("asks", REQUEST), ("plain", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(oci_config(["true"], annotations)))
    shim = [str(BIN / "cdi-runc"), f"--cdi-runtime={show}", f"--cdi-config={plain_settings}"]
    env = {**HOSTILE, **locale, "XDG_RUNTIME_DIR": str(tmp_path)}
    bare = seen([str(show), *LINES[line]], env, tmp_path, ignored)
    ours = seen([*shim, *LINES[line]], env, tmp_path, ignored)
    # A POSIX shell sets PWD to where it is.
    assert [one for one in ours if not one.startswith("variable PWD=")] == [
        one for one in bare if not one.startswith("variable PWD=")
    ]
    assert ("hooks" in json.loads((tmp_path / "asks/config.json").read_text())) == (line == "asks")


WRAPPERS = {
    "a link": "ln -s $SHIM runc",
    "a hard link or a copy": "ln $SHIM runc 2>/dev/null || cp $SHIM runc",
    "a copy": "cp $SHIM runc",
    "a script": "printf '#!/bin/sh\\nexec %s \"$@\"\\n' $SHIM > runc; chmod +x runc",
    "a script in another language": "printf '#!/usr/bin/perl\\nexec \"%s\", @ARGV;\\n' $SHIM > runc; chmod +x runc",
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("args", [["state", "id"], ["--version"], ["create", "--bundle", "asks", "id"]], ids=" ".join)
def test_a_runtime_that_is_the_shim_again_is_an_error(
    settings: Path, tmp_path: Path, wrapper: str, args: list[str]
) -> None:
    (tmp_path / "asks").mkdir()
    (tmp_path / "asks" / "config.json").write_text(json.dumps(oci_config(["true"], REQUEST)))
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "cdi-runc"
    shim.write_text(f'#!/bin/sh\nexec {BIN}/cdi-runc --cdi-config={settings} "$@"\n')
    shim.chmod(0o755)
    made = {"SHIM": str(shim if "script" in wrapper else BIN / "cdi-runc"), "PATH": os.environ["PATH"]}
    subprocess.run(["sh", "-c", WRAPPERS[wrapper]], cwd=tmp_path / "bin", env=made, check=True, timeout=60)
    env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(shim), *args], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"cdi-runc: the runtime {tmp_path}/bin/runc is cdi-runc itself")
    assert done.stderr.count("\n") == 1
