"""What starts at every container starts from builtin modules alone, and from one file."""

import json
import marshal
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from cdi_runc.shim.start import freeze
from tests.shim.conftest import REQUEST, START, bundle, executable

# Compiled into every Python, or part of its own start; `_json` is a small extension, binascii and zlib's crc on some.
BUILTIN = {*sys.builtin_module_names, "zipimport", "_frozen_importlib", "_frozen_importlib_external", "__main__"}
OF_THE_START = {"encodings", "encodings.aliases", "encodings.utf_8", "codecs", "io", "abc", "encodings.latin_1"}
EXTENSIONS = {"_json", "binascii", "_codecs", "fcntl", "_locale"}


@pytest.fixture
def call(tmp_path: Path) -> list[str]:
    """The command that launcher.sh types for a container that asks for a device, with a fresh snapshot."""
    (tmp_path / "cdi").mkdir()
    spec = {
        "cdiVersion": "0.6.0",
        "kind": "vendor.com/gpu",
        "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/null"}]}}],
    }
    (tmp_path / "cdi" / "vendor.json").write_text(json.dumps(spec))
    (tmp_path / "config.yaml").write_text(f"spec-dirs: [{tmp_path}/cdi]\n")
    bundle(tmp_path / "bundle", annotations=REQUEST)
    stub = executable(tmp_path / "runc", "#!/bin/sh\n")
    ours = [sys.executable, str(tmp_path / "cdi-runc"), "", "", "", str(stub), str(tmp_path / "config.yaml")]
    return [*ours, "create", "--bundle", str(tmp_path / "bundle"), "id"]


def imported(call: list[str], directory: Path) -> set[str]:
    start = freeze.frozen_path() if freeze.frozen_path().exists() else START / "boot.py"
    command = [sys.executable, "-I", "-S", "-X", "importtime", str(start), *call]
    environ = {"XDG_RUNTIME_DIR": str(directory), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


def test_only_what_is_allowed_is_imported(call: list[str], tmp_path: Path) -> None:
    imported(call, tmp_path)  # makes the snapshot and freezes the modules
    config = bundle(tmp_path / "bundle", annotations=REQUEST) / "config.json"
    assert imported(call, tmp_path) - BUILTIN - OF_THE_START - EXTENSIONS == set()
    assert json.loads(config.read_text())["linux"]["devices"][0]["path"] == "/dev/x"


@pytest.mark.parametrize("damaged", [False, True])
def test_a_module_that_few_hosts_need_is_loaded_where_it_is_needed(
    call: list[str], tmp_path: Path, damaged: bool
) -> None:
    imported(call, tmp_path)
    (tmp_path / "policy.yaml").write_text("rules:\n- {action: deny, message: ask us}\n")
    data, frozen = freeze.frozen_path().read_bytes(), tmp_path / freeze.frozen_path().name
    modules = next(each for each in marshal.loads(data[16:]).co_consts if isinstance(each, tuple) and len(each) > 9)
    later = {name: code for name, path, _, code in modules if isinstance(code, bytes) and path}
    assert tuple(later) == freeze.LATER
    for code in later.values() if damaged else ():
        data = data.replace(code, bytes(len(code)))
    frozen.write_bytes(data)
    bundle(tmp_path / "bundle", annotations=REQUEST)
    done = subprocess.run([sys.executable, "-I", "-S", str(frozen), *call], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "vendor.com/gpu=0: ask us" in done.stderr


def hook(tmp_path: Path, *stages: str) -> list[str]:
    """What LXC's hooks import that is not built in, for a container that asks for a device."""
    config = tmp_path / "lxc-config"
    config.write_text("lxc.environment = CDI_DEVICES=vendor.com/gpu=0\n")
    environ = {
        "XDG_RUNTIME_DIR": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "LXC_NAME": "c",
        "LXC_CONFIG_FILE": str(config),
        "LXC_ROOTFS_MOUNT": str(tmp_path),
        "LXC_PID": "1",
    }
    ours = [sys.executable, str(tmp_path / "cdi-runc"), "", "", "", "", str(tmp_path / "config.yaml")]
    lines = []
    for stage in stages:
        start = freeze.frozen_path() if freeze.frozen_path().exists() else START / "boot.py"
        command = [sys.executable, "-I", "-S", "-X", "importtime", str(start), *ours, f"--cdi-hook=lxc:{stage}"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
        lines += [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line]
    return [name for name in lines if name != "imported package"]


def test_hooks_import_no_more_than_the_shim(call: list[str], tmp_path: Path) -> None:
    imported(call, tmp_path)
    hook(tmp_path, "pre-start", "post-stop")  # finds out whether a source of theirs has changed
    imported(call, tmp_path)
    assert set(hook(tmp_path, "pre-start", "post-stop")) - BUILTIN - OF_THE_START - EXTENSIONS == set()


def head(path: Path) -> None:
    path.write_bytes(b"another file's" + path.read_bytes()[14:])


def end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def modules_of(hooks: Path) -> list[tuple[object, ...]]:
    """What is in a file that is whole. Python 3.10 does not write the same code as the same bytes each time."""
    data = hooks.read_bytes()
    assert data[4:16] == sha256(data[16:]).digest()[:12]
    return [(name, path, stamp, marshal.loads(code)) for name, path, stamp, code in marshal.loads(data[16:])]


@pytest.mark.parametrize("damage", [head, end, Path.unlink])
def test_damaged_code_of_hooks_is_made_anew(call: list[str], tmp_path: Path, damage: Callable[[Path], None]) -> None:
    imported(call, tmp_path)
    hooks = freeze.frozen_path().with_name(freeze.frozen_path().name.replace("frozen-", "hooks-"))
    whole = modules_of(hooks)
    damage(hooks)
    assert "cdi_runc.shim.lxc.plan" in hook(tmp_path, "pre-start")  # from its source
    hook(tmp_path, "post-stop")
    assert modules_of(hooks) == whole
    assert "cdi_runc.shim.lxc.plan" not in hook(tmp_path, "pre-start", "post-stop")


def test_all_that_hooks_need_is_frozen() -> None:
    shim = freeze.LIB / "cdi_runc/shim"
    lxc = [f"cdi_runc.shim.lxc.{path.stem}" for path in (shim / "lxc").glob("[a-z]*.py")]
    others = [f"cdi_runc.shim.{name}" for name in ("hooks", "podman", "audit", "engine_records", "lxc")]
    assert sorted(freeze.HOOKS) == sorted([*lxc, *others])


def test_the_hot_modules_say_so_and_no_others() -> None:
    packages = {f"cdi_runc{package}" for package in ("", ".cdi", ".host", ".shim")}
    named = {
        ".".join(path.relative_to(freeze.LIB).with_suffix("").parts)
        for path in (freeze.LIB / "cdi_runc").rglob("*.py")
        if path.read_text("utf-8").startswith('"""HOT. ')
    }
    assert named - {"cdi_runc.shim.start.thaw"} == set(freeze.HOT) - packages


def test_what_only_a_type_checker_reads_is_not_frozen(call: list[str], tmp_path: Path) -> None:
    imported(call, tmp_path)  # freezes the modules
    assert not {
        word
        for word in (b"collections.abc", b"Callable", b"__annotations__")
        if word in freeze.frozen_path().read_bytes()
    }


def test_every_hot_module_is_frozen_after_those_that_it_imports() -> None:
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(freeze.LIB)!r})\n"]
    command[-1] += "import cdi_runc.shim.main\nprint(*[name for name in sys.modules if name.startswith('cdi_runc')])"
    names = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert sorted(names) == sorted(freeze.HOT)
    for place, name in enumerate(freeze.HOT):
        path = freeze.LIB / name.replace(".", "/")
        text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        runtime_part = text.replace("    from cdi_runc", "")  # those that only a type checker or a rare call needs
        for later in freeze.HOT[place + 1 :]:
            assert f"\nfrom {later} import" not in runtime_part, f"{name} stands before {later}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The directory of the shim's start in a tree of its own, with nothing frozen."""
    shutil.copytree(freeze.LIB / "cdi_runc", tmp_path / "cdi_runc", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "cdi_runc" / "shim" / "start"


def version(start: Path) -> str:
    command = [sys.executable, "-I", "-S", str(start), sys.executable, "/x/cdi-runc", *[""] * 5, "--cdi-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_what_is_frozen_starts_as_what_is_not(copy: Path) -> None:
    frozen = copy / "__pycache__" / freeze.frozen_path().name
    assert not frozen.exists()
    assert version(copy / "boot.py") == version(frozen) == "cdi-runc 0.1.0\n"


def test_a_change_of_a_source_is_seen(copy: Path) -> None:
    version(copy / "boot.py")
    frozen = copy / "__pycache__" / freeze.frozen_path().name
    launch = copy.parent / "launch.py"
    launch.write_text(launch.read_text().replace('f"cdi-runc {', 'f"changed {'))
    assert version(frozen) == "changed 0.1.0\n"
    before = frozen.stat().st_ino
    assert version(frozen) == "changed 0.1.0\n"
    assert frozen.stat().st_ino == before


def test_a_tree_that_cannot_be_written_still_works(copy: Path) -> None:
    (copy / "__pycache__").write_text("no directory")
    assert version(copy / "boot.py") == "cdi-runc 0.1.0\n"


@pytest.mark.parametrize("debug", [False, True])
def test_an_internal_error_is_one_line_and_its_traceback_is_for_the_log(
    copy: Path, tmp_path: Path, debug: bool
) -> None:
    main = copy.parent / "main.py"
    main.write_text(main.read_text().replace("edited = prepare(", "edited = (1 / 0) or prepare("))
    args = ["--log", str(tmp_path / "log"), "--log-format", "json", "state", "id"]
    command = [sys.executable, "-I", "-S", str(copy / "boot.py"), sys.executable, "/x/cdi-runc", *[""] * 5, *args]
    environ = {"CDI_RUNC_DEBUG": "1"} if debug else {}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cdi-runc: internal error, please report it: ZeroDivisionError: division by zero")
    assert done.stderr.count("\n") == 1
    logged = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["level"] for line in logged] == ["error", "debug"][: 1 + debug]
    if debug:
        assert "main.py" in logged[1]["msg"]


def test_a_call_that_the_system_refuses_is_no_internal_error(copy: Path) -> None:
    main = copy.parent / "main.py"
    text = main.read_text().replace("edited = prepare(", "edited = posix.stat('/nowhere') and prepare(")
    main.write_text(text)
    command = [sys.executable, "-I", "-S", str(copy / "boot.py"), sys.executable, "/x/cdi-runc", *[""] * 5, "state"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "cdi-runc: the system refuses a call: No such file or directory (CDI_RUNC_DEBUG=1 logs where)\n"
    )


def test_a_full_disk_leaves_no_file_behind(copy: Path) -> None:
    program = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[1]); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    )
    program += "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    program += "from cdi_runc.shim.start.freeze import freeze; freeze()\n"
    library = copy.parents[2]
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program, str(library)], check=True, timeout=60)
    assert sorted(path.name for path in (copy / "__pycache__").iterdir()) == []
