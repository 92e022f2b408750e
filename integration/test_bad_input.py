"""What is broken, missing or hostile: one line that says so and exit 1, or the runtime's business; never a hang."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from integration.bundles import REQUEST, WIDGET, oci_config
from integration.conftest import Runtime, Stub

# Root reads what its mode forbids by these two capabilities; without them it is like anyone else.
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")

needs_setpriv = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root with setpriv can do without its privileges"
)


def asking(annotations: object = REQUEST) -> str:
    return json.dumps(oci_config(["true"]) | {"annotations": annotations})


def assert_one_line(done: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("cdi-runc: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert len(done.stderr) < 2000
    for part in parts:
        assert part in done.stderr


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    directory = tmp_path / "bundle"
    directory.mkdir()
    return directory


def huge(open_with: str, close_with: str) -> Callable[[], str]:
    return lambda: open_with + " " * 100_000_000 + close_with


BAD_CONFIGS: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "not JSON": lambda: '{"annotations": {"cdi.k8s.io/test": "example.com/widget=one"}',
    "trailing text": lambda: asking() + "}",
    "an array": lambda: json.dumps([{"annotations": REQUEST}]),
    "a string": lambda: json.dumps("cdi.k8s.io/test"),
    "nested 100,000 deep": lambda: asking()[:-1] + ', "deep": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "objects 100,000 deep": lambda: asking()[:-1] + ', "deep": ' + '{"a":' * 100_000 + "1" + "}" * 100_001,
    "100 MB": huge(asking()[:-1], "}"),
    "not UTF-8": lambda: asking()[:-1] + ', "a": "\udcff"}',
    "NaN": lambda: asking()[:-1] + ', "a": NaN}',
}


@pytest.mark.parametrize("name", [name for name in BAD_CONFIGS if name != "empty"])
def test_a_request_in_a_bad_config_is_refused(stub: Stub, bundle: Path, name: str) -> None:
    path = bundle / "config.json"
    path.write_text(BAD_CONFIGS[name](), errors="surrogateescape")
    before = path.stat()
    assert_one_line(stub.create(bundle), "config.json")
    assert stub.arguments() is None
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert os.listdir(bundle) == ["config.json"]


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_bad_config_without_a_request_is_the_runtime_s_business(stub: Stub, bundle: Path, name: str) -> None:
    (bundle / "config.json").write_text(BAD_CONFIGS[name]().replace("cdi.k8s.io/", "other/"), errors="surrogateescape")
    assert stub.create(bundle).stderr == ""
    assert stub.arguments() == ["create", "--bundle", str(bundle), "box"]


@pytest.mark.parametrize(
    "annotations",
    [
        REQUEST | {"cdi.k8s.io/other": 1},
        {"cdi.k8s.io/test": None},
        {"cdi.k8s.io/test": [WIDGET]},
        {"cdi.k8s.io/test": {"name": WIDGET}},
        {"cdi.k8s.io/test": True},
        {"cdi.k8s.io/test": ""},
        {"cdi.k8s.io/test": "example.com/widget"},
        {"cdi.k8s.io/test": "one"},
        {"cdi.k8s.io/test": f"{WIDGET},"},
        {"cdi.k8s.io/test": f"{WIDGET}, {WIDGET}"},
        {"cdi.k8s.io/test": "example.com/widget=\u0665"},
        {"cdi.k8s.io/test": "example.com/widget=\n"},
        {"cdi.k8s.io/test": "../../etc=passwd"},
        {"cdi.k8s.io/test": "x" * 1_000_000},
        ["cdi.k8s.io/test"],
        "cdi.k8s.io/test",
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_malformed_request_is_refused(stub: Stub, bundle: Path, annotations: object) -> None:
    (bundle / "config.json").write_text(asking(annotations))
    assert_one_line(stub.create(bundle))
    assert stub.arguments() is None
    assert (bundle / "config.json").read_text() == asking(annotations)


def missing_bundle(bundle: Path) -> None:
    bundle.rmdir()


def no_config(bundle: Path) -> None:
    pass


def directory_for_config(bundle: Path) -> None:
    (bundle / "config.json").mkdir()


def dangling_config(bundle: Path) -> None:
    (bundle / "config.json").symlink_to("nowhere")


def looping_config(bundle: Path) -> None:
    (bundle / "config.json").symlink_to("config.json")


UNREADABLE = [missing_bundle, no_config, directory_for_config, dangling_config, looping_config]


@pytest.mark.parametrize("spoil", UNREADABLE, ids=lambda f: f.__name__)
def test_no_config_to_read(runtime: Runtime, bundle: Path, spoil: Callable[[Path], None]) -> None:
    spoil(bundle)
    done = runtime.shim("create", "--bundle", str(bundle), "box")
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1, done.stderr
    assert runtime.containers() == []


def test_a_config_that_is_a_fifo_is_not_waited_for(stub: Stub, bundle: Path) -> None:
    os.mkfifo(bundle / "config.json")
    stub.create(bundle)
    assert stub.arguments() == ["create", "--bundle", str(bundle), "box"]


def test_a_config_linked_from_elsewhere_is_not_written_through(stub: Stub, bundle: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(asking())
    (bundle / "config.json").symlink_to(elsewhere)
    stub.create(bundle)
    assert elsewhere.read_text() == asking()


@needs_setpriv
def test_an_unreadable_config_is_said(runtime: Runtime, bundle: Path) -> None:
    (bundle / "config.json").write_text(asking())
    (bundle / "config.json").chmod(0)
    done = replace(runtime, into=(*runtime.into, *WITHOUT_OVERRIDE)).shim("create", "--bundle", str(bundle), "box")
    assert done.returncode != 0
    assert "config.json" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@needs_setpriv
def test_a_bundle_that_may_not_be_written_is_said(stub: Stub, bundle: Path) -> None:
    (bundle / "config.json").write_text(asking())
    bundle.chmod(0o500)
    assert_one_line(stub.create(bundle, WITHOUT_OVERRIDE), str(bundle))
    assert (bundle / "config.json").read_text() == asking()


def spec_dirs(stub: Stub, *directories: Path) -> None:
    stub.settings.write_text(json.dumps({"spec-dirs": [str(directory) for directory in directories]}))


def test_a_spec_directory_that_is_not_there_is_fine(stub: Stub, bundle: Path, spec_dir: Path, tmp_path: Path) -> None:
    spec_dirs(stub, spec_dir, tmp_path / "nowhere")
    (bundle / "config.json").write_text(asking())
    done = stub.create(bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert "WIDGET=yes" in (bundle / "config.json").read_text()


@needs_setpriv
def test_an_unreadable_spec_directory_is_said_where_a_device_is_missing(
    stub: Stub, bundle: Path, spec_dir: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0)
    spec_dirs(stub, hidden, spec_dir)
    (bundle / "config.json").write_text(asking({"cdi.k8s.io/test": "hidden.com/widget=one"}))
    assert_one_line(stub.create(bundle, WITHOUT_OVERRIDE), "hidden.com/widget=one", str(hidden))
    (bundle / "config.json").write_text(asking())
    assert stub.create(bundle, WITHOUT_OVERRIDE).returncode == 0


def fifo(path: Path) -> None:
    os.mkfifo(path)


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def directory(path: Path) -> None:
    path.mkdir()


def endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def not_yaml(path: Path) -> None:
    path.write_text("{ cdiVersion: [")


def invalid_spec(path: Path) -> None:
    path.write_text(
        '{"cdiVersion": "0.7.0", "kind": "bad.com/spec", "devices": [{"name": "one", "containerEdits": {"env": [1]}}]}'
    )


SPOILT_SPECS = [fifo, dangling_link, link_to_itself, endless_device, not_yaml, invalid_spec]


@pytest.mark.parametrize("spoil", SPOILT_SPECS, ids=lambda f: f.__name__)
def test_a_bad_spec_is_said_where_a_device_is_missing(
    stub: Stub, bundle: Path, spec_dir: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(spec_dir / "bad.yaml")
    (bundle / "config.json").write_text(asking({"cdi.k8s.io/test": "bad.com/spec=one"}))
    assert_one_line(stub.create(bundle), "bad.com/spec=one", str(spec_dir / "bad.yaml"))
    assert stub.arguments() is None


@pytest.mark.parametrize("spoil", [*SPOILT_SPECS, directory], ids=lambda f: f.__name__)
def test_a_bad_spec_hides_no_good_one(stub: Stub, bundle: Path, spec_dir: Path, spoil: Callable[[Path], None]) -> None:
    spoil(spec_dir / "bad.yaml")
    (bundle / "config.json").write_text(asking())
    assert stub.create(bundle).returncode == 0
    assert "WIDGET=yes" in (bundle / "config.json").read_text()


@pytest.mark.parametrize("spoil", SPOILT_SPECS, ids=lambda f: f.__name__)
def test_a_bad_spec_is_nothing_to_a_container_that_asks_for_nothing(
    stub: Stub, bundle: Path, spec_dir: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(spec_dir / "bad.yaml")
    (bundle / "config.json").write_text(asking({}))
    done = stub.create(bundle)
    assert (done.returncode, done.stderr) == (0, "")
    assert (bundle / "config.json").read_text() == asking({})


def test_a_conflict_names_both_files(stub: Stub, bundle: Path, spec_dir: Path) -> None:
    shutil.copy(spec_dir / "widget.json", spec_dir / "again.json")
    (bundle / "config.json").write_text(asking())
    assert_one_line(stub.create(bundle), WIDGET, str(spec_dir / "widget.json"), str(spec_dir / "again.json"))


def unknown_key(path: Path) -> None:
    path.write_text("rule: []\n")


def bad_glob(path: Path) -> None:
    path.write_text("rules: [{action: deny, match: {device: 'x?'}}]\n")


def world_writable(path: Path) -> None:
    path.write_text("rules: []\n")
    path.chmod(0o666)


def empty(path: Path) -> None:
    path.touch()


# What is said of policy.yaml. A config.yaml beside it is fine.
SPOILT_POLICIES: dict[Callable[[Path], None], str] = {
    unknown_key: "unknown key 'rule', did you mean 'rules'?",
    bad_glob: "policy.yaml:1: 'x?' is not a pattern",
    world_writable: "others than root may write ",
    empty: "expected an object with rules",
    not_yaml: "policy.yaml:1: ",
    fifo: "policy.yaml: ",
    directory: "policy.yaml: ",
    link_to_itself: "policy.yaml: ",
    endless_device: "policy.yaml: ",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="a user's own policy is the user's to give away")
@pytest.mark.parametrize("spoil", SPOILT_POLICIES, ids=lambda f: f.__name__)
def test_a_bad_policy_stops_only_containers_that_ask(
    stub: Stub, bundle: Path, spec_dir: Path, spoil: Callable[[Path], None]
) -> None:
    policy = stub.settings.parent / "policy.yaml"
    spoil(policy)
    if policy.is_file() and not policy.is_symlink() and spoil is not world_writable:
        policy.chmod(0o644)
    (bundle / "config.json").write_text(asking())
    assert_one_line(stub.create(bundle), str(policy), SPOILT_POLICIES[spoil])
    assert stub.arguments() is None
    assert (bundle / "config.json").read_text() == asking()
    (bundle / "config.json").write_text(asking({}))
    done = stub.create(bundle)
    assert (done.returncode, done.stderr) == (0, "")


@needs_setpriv
def test_an_unreadable_policy_stops_only_containers_that_ask(stub: Stub, bundle: Path) -> None:
    policy = stub.settings.parent / "policy.yaml"
    policy.write_text("rules: []\n")
    policy.chmod(0)
    (bundle / "config.json").write_text(asking())
    assert_one_line(stub.create(bundle, WITHOUT_OVERRIDE), f"{policy}: Permission denied")
    (bundle / "config.json").write_text(asking({}))
    assert stub.create(bundle, WITHOUT_OVERRIDE).returncode == 0
