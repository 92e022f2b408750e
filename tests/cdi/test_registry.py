"""Directories of specs: what is read, what wins, what conflicts, what is wrong."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest

from cdi_runc.cdi.errors import CDIError, UnresolvableDevices
from cdi_runc.cdi.registry import Registry, spec_files


def spec(*names: str, kind: str = "v.com/c", value: str = "1") -> str:
    devices = ", ".join(f"{{name: {name}, containerEdits: {{env: [{name.upper()}={value}]}}}}" for name in names)
    return f"{{cdiVersion: 0.6.0, kind: {kind}, containerEdits: {{env: [FILE={value}]}}, devices: [{devices}]}}"


class Dirs:
    """Two spec directories, the first with the lower precedence."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.dirs = [str(root / name) for name in ("etc", "run")]
        for directory in self.dirs:
            os.mkdir(directory)

    def write(self, name: str, text: str) -> str:
        path = self.root / name
        path.write_text(text)
        return str(path)

    def registry(self) -> Registry:
        return Registry(spec_dirs=self.dirs)


@pytest.fixture
def dirs(tmp_path: pathlib.Path) -> Dirs:
    return Dirs(tmp_path)


def test_what_is_found(dirs: Dirs) -> None:
    path = dirs.write("etc/a.yaml", spec("x", "z"))
    other = dirs.write("run/b.json", spec("x", kind="w.com/d.e"))
    registry = dirs.registry()
    assert sorted(registry.devices) == ["v.com/c=x", "v.com/c=z", "w.com/d.e=x"]
    assert (registry.vendors, registry.classes) == (["v.com", "w.com"], ["c", "d.e"])
    assert list(registry.specs) == [path, other]
    assert (registry.errors, registry.conflicts) == ({}, {})
    device = registry.devices["v.com/c=x"]
    assert (device.name, device.path, device.annotations) == ("v.com/c=x", path, {})
    assert (device.edits, device.spec_edits) == ({"env": ["X=1"]}, {"env": ["FILE=1"]})


@pytest.mark.parametrize("name", ["a.yml", "a.YAML", "a.JSON", "a.yaml.bak", "yaml", "a.yaml~", "sub.yaml/x"])
def test_what_is_no_spec_file(dirs: Dirs, name: str) -> None:
    (dirs.root / "etc" / name).parent.mkdir(exist_ok=True)
    dirs.write(f"etc/{name}", "{")
    assert spec_files(dirs.dirs[0]) == []


def test_hidden_files_and_links_are_spec_files(dirs: Dirs) -> None:
    dirs.write("etc/.json", spec("x"))
    dirs.write("elsewhere", spec("z"))
    (dirs.root / "etc/link.yaml").symlink_to(dirs.root / "elsewhere")
    assert sorted(dirs.registry().devices) == ["v.com/c=x", "v.com/c=z"]


def test_a_later_directory_wins(dirs: Dirs) -> None:
    dirs.write("etc/a.yaml", spec("x", "z", value="low"))
    dirs.write("run/a.yaml", spec("x", value="high"))
    registry = dirs.registry()
    config: dict[str, Any] = {}
    registry.inject(config, ["v.com/c=x", "v.com/c=z"])
    assert config == {"process": {"env": ["FILE=low", "X=high", "Z=low"]}}
    assert registry.errors == {}


@pytest.mark.parametrize("higher", [False, True])
def test_a_conflict_takes_the_device_away(dirs: Dirs, higher: bool) -> None:
    paths = [dirs.write(f"etc/{name}.yaml", spec("x", name)) for name in ("a", "b", "d")]
    if higher:
        dirs.write("run/e.yaml", spec("x"))
    registry = dirs.registry()
    assert sorted(registry.devices) == ["v.com/c=a", "v.com/c=b", "v.com/c=d"]
    assert registry.conflicts == {"v.com/c=x": paths}
    assert {path: len(errors) for path, errors in registry.errors.items()} == dict.fromkeys(paths, 1)
    assert (
        str(registry.errors[paths[1]][0]) == f"{paths[1]}: conflicting device v.com/c=x, also in {paths[0]}, {paths[2]}"
    )


def test_one_directory_twice_is_no_conflict(dirs: Dirs) -> None:
    dirs.write("etc/a.yaml", spec("x"))
    registry = Registry(spec_dirs=[dirs.dirs[0], dirs.dirs[0] + "/", pathlib.Path(dirs.dirs[0])])
    assert (list(registry.devices), registry.errors) == (["v.com/c=x"], {})


def test_a_bad_file_hides_no_other(dirs: Dirs) -> None:
    bad = dirs.write("etc/a.yaml", spec("x", "-bad"))
    dirs.write("etc/b.yaml", spec("x"))
    registry = dirs.registry()
    assert list(registry.devices) == ["v.com/c=x"]
    assert list(registry.errors) == [bad]
    assert str(registry.errors[bad][0]).startswith(f"{bad}:1:")


def test_bad_directories_hide_no_other(dirs: Dirs) -> None:
    dirs.write("etc/a.yaml", spec("x"))
    file = dirs.write("file", "")
    registry = Registry(spec_dirs=[f"{dirs.root}/absent", file, dirs.dirs[0]])
    assert list(registry.devices) == ["v.com/c=x"]
    assert {path: str(*errors) for path, errors in registry.errors.items()} == {
        file: f"{file}: the spec directory cannot be read: Not a directory"
    }


def test_what_is_no_file_is_an_error_at_once(dirs: Dirs) -> None:
    os.mkfifo(dirs.root / "etc/fifo.yaml")
    (dirs.root / "etc/dangling.yaml").symlink_to("nowhere")
    (dirs.root / "etc/dir.yaml").symlink_to(dirs.root)
    (dirs.root / "etc/device.json").symlink_to("/dev/zero")
    messages = {os.path.basename(path): str(*errors) for path, errors in dirs.registry().errors.items()}
    etc = dirs.dirs[0]
    assert messages == {
        "fifo.yaml": f"{etc}/fifo.yaml: is a pipe, socket or device, not a file",
        "dangling.yaml": f"{etc}/dangling.yaml: cannot be read: No such file or directory",
        "dir.yaml": f"{etc}/dir.yaml: is a directory, not a file",
        "device.json": f"{etc}/device.json: is a pipe, socket or device, not a file",
    }


def test_refresh(dirs: Dirs) -> None:
    registry = dirs.registry()
    assert registry.devices == {}
    dirs.write("run/a.yaml", spec("x"))
    registry.refresh()
    assert list(registry.devices) == ["v.com/c=x"]


def test_unresolvable_devices_leave_the_config_alone(dirs: Dirs) -> None:
    dirs.write("etc/a.yaml", spec("x"))
    config: dict[str, Any] = {"process": {}}
    with pytest.raises(UnresolvableDevices) as caught:
        dirs.registry().inject(config, ["v.com/c=x", "x", "v.com/c=X"])
    assert caught.value.names == ("x", "v.com/c=X")
    assert config == {"process": {}}


def test_injecting_leaves_the_specs_alone(dirs: Dirs) -> None:
    dirs.write("etc/a.yaml", spec("x"))
    registry = dirs.registry()
    config: dict[str, Any] = {}
    registry.inject(config, ["v.com/c=x", "v.com/c=x"])
    config["process"]["env"].append("Y=1")
    again: dict[str, Any] = {}
    registry.inject(again, ["v.com/c=x"])
    assert again == {"process": {"env": ["FILE=1", "X=1"]}}


def test_spec_files_says_what_cannot_be_read(dirs: Dirs) -> None:
    with pytest.raises(CDIError, match="the spec directory cannot be read"):
        spec_files(dirs.write("file", ""))
