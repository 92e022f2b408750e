"""What a device brings is in force in real containers, whatever the engine or the user put there before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.bundles import make_bundle, oci_config
from integration.conftest import Runtime

Run = Callable[..., str]

# The host's /dev/kmsg: every Linux has it, no runtime allows it unasked, and opening it for writing does no harm.
KMSG = {"type": "c", "major": 1, "minor": 11}
OPENS = '(: > "$1") 2>/dev/null && echo opens || echo refused'
DENY_ALL = {"allow": False, "access": "rwm"}


@pytest.fixture
def run(runtime: Runtime, tmp_path: Path, spec_dir: Path) -> Run:
    """Runs a container that asks for a device with these edits, from a config that `change` was made to."""
    (spec_dir / "widget.json").unlink()
    directory = make_bundle(tmp_path / "bundle", oci_config([]))

    def run(edits: dict[str, Any], script: str, change: Callable[[Any], None] = lambda config: None) -> str:
        spec = {"cdiVersion": "1.1.0", "kind": "v.com/c", "devices": [{"name": "a", "containerEdits": edits}]}
        (spec_dir / "v.json").write_text(json.dumps(spec))
        config: Any = oci_config(["sh", "-c", script, "sh", "/dev/kmsg"], {"cdi.k8s.io/x": "v.com/c=a"})
        change(config)
        (directory / "config.json").write_text(json.dumps(config))
        done = runtime.shim("run", "--bundle", str(directory), "box")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def as_user_with_roots_node(config: Any) -> None:
    """As `docker run -u 1000 --device /dev/kmsg` makes it."""
    config["process"]["user"] = {"uid": 1000, "gid": 1000}
    config["linux"]["devices"] = [{"path": "/dev/kmsg", **KMSG, "fileMode": 0o644, "uid": 0, "gid": 0}]
    config["linux"]["resources"]["devices"].append({"allow": True, **KMSG, "access": "rwm"})


def test_a_node_has_the_owner_that_the_spec_gives_it(run: Run) -> None:
    assert run({"deviceNodes": [{"path": "/dev/kmsg"}]}, OPENS, as_user_with_roots_node) == "opens"


def test_the_last_variable_is_the_devices(run: Run) -> None:
    def change(config: Any) -> None:
        config["process"]["env"] += ["A=cdi", "A=user"]

    assert run({"env": ["A=cdi"]}, "echo $A", change) == "cdi"


@pytest.mark.parametrize(
    "mounts",
    [
        [{"destination": "/tmp", "source": "DIR/cdi", "type": "bind", "options": ["rbind", "rprivate", "ro"]}],
        [
            {"destination": "/tmp", "source": "DIR/cdi", "type": "bind", "options": ["rbind", "rprivate"]},
            {"destination": "/tmp", "source": "DIR/user", "type": "bind", "options": ["rbind"]},
        ],
        [
            {"destination": "/tmp", "source": "DIR/cdi", "type": "bind", "options": ["rbind", "rprivate"]},
            {"destination": "/tmp/", "type": "tmpfs", "source": "tmpfs"},
        ],
    ],
    ids=["read-only", "covered", "covered by another spelling"],
)
def test_a_mount_is_seen_and_can_be_written(run: Run, tmp_path: Path, mounts: list[Any]) -> None:
    for name in ("cdi", "user"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "file").write_text(name)
    mounts = json.loads(json.dumps(mounts).replace("DIR", str(tmp_path)))
    edit = {"hostPath": f"{tmp_path}/cdi", "containerPath": "/tmp", "options": ["rbind", "rprivate"]}
    script = "cat /tmp/file; echo new > /tmp/file"
    assert run({"mounts": [edit]}, script, lambda config: config["mounts"].extend(mounts)) == "cdi"
    assert (tmp_path / "cdi" / "file").read_text() == "new\n"


def test_an_allowed_device_stays_allowed(run: Run) -> None:
    def change(config: Any) -> None:
        as_user_with_roots_node(config)
        config["linux"]["resources"]["devices"].append(DENY_ALL)

    assert run({"deviceNodes": [{"path": "/dev/kmsg", "uid": 1000}]}, OPENS, change) == "opens"


def test_a_node_without_permissions_is_there_and_cannot_be_opened(run: Run) -> None:
    node = {"path": "/dev/kmsg", "permissions": "none"}
    assert run({"deviceNodes": [node]}, f"ls /dev/kmsg; {OPENS}") == "/dev/kmsg\nrefused"


def test_an_unbuffered_character_device_opens(run: Run) -> None:
    assert run({"deviceNodes": [{"path": "/dev/kmsg", **KMSG, "type": "u"}]}, OPENS) == "opens"


def test_a_node_of_another_path_in_a_user_namespace(run: Run, tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:-2]):
        directory.chmod(0o755)

    def change(config: Any) -> None:
        linux = config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]

    edits = {"deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/zero"}]}
    assert run(edits, "stat -c %t:%T /dev/mine", change) == "1:5"


def test_a_hook_inside_the_container_does_not_get_the_images_variables(run: Run, tmp_path: Path) -> None:
    """CVE-2025-23266: runc before 1.3 gives a createContainer hook without env the container's own."""
    output = tmp_path / "env"
    hook = {"hookName": "createContainer", "path": "/bin/sh", "args": ["sh", "-c", f"cat > /dev/null; env > {output}"]}

    def change(config: Any) -> None:
        config["process"]["env"] += ["LD_PRELOAD_OF_THE_IMAGE=./evil.so"]

    run({"hooks": [hook]}, "true", change)
    assert "OF_THE_IMAGE" not in output.read_text()
    assert "PATH=" in output.read_text()


def test_a_bundle_that_is_run_again_has_todays_edits_and_what_the_user_wrote(
    runtime: Runtime, tmp_path: Path, spec_dir: Path
) -> None:
    """A driver is updated between two runs: the library of yesterday is gone."""
    config: Any = oci_config(
        ["sh", "-c", "cat /tmp/lib* 2> /dev/null; echo $DRIVER $MINE"], {"cdi.k8s.io/x": "v.com/c=a"}
    )
    directory = make_bundle(tmp_path / "bundle", config)

    def run(version: str) -> str:
        for old in tmp_path.glob("lib.so.*"):
            old.unlink()
        library = tmp_path / f"lib.so.{version}"
        library.write_text(f"{version} ")
        mount = {"hostPath": str(library), "containerPath": f"/tmp/{library.name}", "options": ["bind", "ro"]}
        edits = {"mounts": [mount], "env": [f"DRIVER={version}"]}
        spec = {"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "a", "containerEdits": edits}]}
        (spec_dir / "v.json").write_text(json.dumps(spec))
        done = runtime.shim("run", "--bundle", str(directory), "box")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run("1") == "1 1"
    assert run("2") == "2 2"
    path = directory / "config.json"
    changed = json.loads(path.read_text())
    changed["process"]["env"].append("MINE=yes")
    path.write_text(json.dumps(changed))
    assert run("3") == "3 3 yes"
    changed = json.loads(path.read_text())
    del changed["annotations"]
    path.write_text(json.dumps(changed))
    assert run("4") == "yes"  # it asks for nothing any more, and has nothing
