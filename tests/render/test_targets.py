"""What each target makes of the same device: its quoting, what it loses, and what it refuses.

integration/systems/ has the same for the real systems.
"""

import json
from typing import Any

import pytest
import yaml

from cdi_runc.render import TARGETS, RenderError, target
from cdi_runc.render.lxc import beside_hook
from cdi_runc.shim.lxc.lacking import START_HOOK
from tests.render.conftest import MakeEdits

ODD = 'it\'s "q" $HOME 5% a:b=c,d ü\\n'
NODE = {"path": "/dev/w", "hostPath": "/dev/null", "permissions": "rw"}
MOUNT = {"hostPath": "/usr/lib", "containerPath": "/opt/a b", "options": ["ro", "bind", "nosuid", "nodev"]}
ALL: dict[str, Any] = {
    "env": [f"ODD={ODD}"],
    "deviceNodes": [NODE],
    "mounts": [MOUNT],
    "additionalGids": [44],
    "hooks": [{"hookName": "createContainer", "path": "/bin/true"}],
    "netDevices": [{"hostInterfaceName": "eth9", "name": "rdma0"}],
    "intelRdt": {"closID": "gold"},
}

WORDS = {
    "nspawn": ["--bind=/dev/null:/dev/w", "--bind-ro=/usr/lib:/opt/a b", f"--setenv=ODD={ODD}"],
    "bwrap": ["--dev-bind", "/dev/null", "/dev/w", "--ro-bind", "/usr/lib", "/opt/a b", "--setenv", "ODD", ODD],
    "docker": [
        "--device",
        "/dev/null:/dev/w:rw",
        "--mount",
        "type=bind,src=/usr/lib,dst=/opt/a b,readonly",
        "--env",
        f"ODD={ODD}",
        "--group-add",
        "44",
    ],
    "podman": [
        "--device",
        "/dev/null:/dev/w:rw",
        "--volume",
        "/usr/lib:/opt/a b:ro,nosuid,nodev",
        "--env",
        f"ODD={ODD}",
        "--group-add",
        "44",
    ],
    "apptainer": [
        "--mount",
        "type=bind,source=/dev/null,destination=/dev/w",
        "--mount",
        "type=bind,source=/usr/lib,destination=/opt/a b,ro",
        "--env",
        '"ODD=it\'s ""q"" $HOME 5% a:b=c,d ü\\n"',
    ],
}
LINES = {
    "lxc": [
        "lxc.mount.entry = /dev/null dev/w none bind,create=file 0 0",
        r"lxc.mount.entry = /usr/lib opt/a\040b none ro,nosuid,nodev,bind,create=dir 0 0",
        "lxc.cgroup.devices.allow = c 1:3 rw",
        "lxc.cgroup2.devices.allow = c 1:3 rw",
        f"lxc.environment = ODD={ODD}",
        "lxc.init.groups = 44",
        "lxc.net.20.type = phys",
        "lxc.net.20.link = eth9",
        "lxc.net.20.name = rdma0",
    ],
    "lxc-beside-hook": [
        "lxc.cgroup2.devices.allow = c 1:3 rw",
        f"lxc.environment = ODD={ODD}",
        "lxc.init.groups = 44",
        "lxc.net.20.type = phys",
        "lxc.net.20.link = eth9",
        "lxc.net.20.name = rdma0",
    ],
    "nspawn-file": [
        "[Exec]",
        """Environment="ODD=it's "'"'"q"'"'" $HOME 5% a:b=c,d ü\\n\"""",
        "[Files]",
        "Bind=/dev/null:/dev/w",
        "BindReadOnly=/usr/lib:/opt/a b",
    ],
    "systemd": [
        "[Service]",
        "PrivateDevices=yes",
        "DevicePolicy=closed",
        "DeviceAllow=/dev/null rw",
        "BindPaths=/dev/null:/dev/w",
        'BindReadOnlyPaths=/usr/lib:"/opt/a b"',
        'Environment="ODD=it\'s \\"q\\" $HOME 5%% a:b=c,d ü\\\\n"',
    ],
    "quadlet": [
        "[Container]",
        "AddDevice=/dev/null:/dev/w:rw",
        "Volume=/usr/lib:/opt/a b:ro,nosuid,nodev",
        'Environment="ODD=it\'s \\"q\\" $$HOME 5%% a:b=c,d ü\\\\n"',
        "GroupAdd=44",
    ],
    "nomad": [
        "config {",
        "  devices = [",
        '    { host_path = "/dev/null", container_path = "/dev/w", cgroup_permissions = "rw" },',
        "  ]",
        "  mount {",
        '    type = "bind"',
        '    target = "/opt/a b"',
        '    source = "/usr/lib"',
        "    readonly = true",
        "  }",
        '  group_add = ["44"]',
        "}",
        "env = {",
        '  "ODD" = "it\'s \\"q\\" $HOME 5% a:b=c,d ü\\\\n"',
        "}",
    ],
}
DATA: dict[str, Any] = {
    "incus": {
        "config": {"environment.ODD": ODD},
        "devices": {
            "cdi-node-0": {"type": "unix-char", "path": "/dev/w", "source": "/dev/null", "mode": "0666"},
            "cdi-mount-0": {"type": "disk", "source": "/usr/lib", "path": "/opt/a b", "readonly": "true"},
            "cdi-net-0": {"type": "nic", "nictype": "physical", "parent": "eth9", "name": "rdma0"},
        },
    },
    "compose": {
        "services": {
            "NAME": {
                "devices": ["/dev/null:/dev/w:rw"],
                "volumes": [{"type": "bind", "target": "/opt/a b", "source": "/usr/lib", "read_only": True}],
                "environment": {"ODD": ODD.replace("$", "$$")},
                "group_add": ["44"],
            }
        }
    },
    "kubernetes": {
        "spec": {
            "securityContext": {"supplementalGroups": [44]},
            "volumes": [
                {"name": "cdi-0", "hostPath": {"path": "/dev/null", "type": "CharDevice"}},
                {"name": "cdi-1", "hostPath": {"path": "/usr/lib"}},
            ],
            "containers": [
                {
                    "name": "NAME",
                    "volumeMounts": [
                        {"name": "cdi-0", "mountPath": "/dev/w"},
                        {"name": "cdi-1", "mountPath": "/opt/a b", "readOnly": True},
                    ],
                    "env": [{"name": "ODD", "value": ODD}],
                }
            ],
        }
    },
}
LOST = {
    "lxc": "hook rdt",
    "incus": "permissions group hook rdt options",
    "nspawn": "group hook network rdt options",
    "systemd": "hook network rdt options group",
    "bwrap": "permissions group hook network rdt",
    "docker": "hook network rdt options",
    "compose": "hook network rdt options",
    "podman": "hook network rdt",
    "quadlet": "hook network rdt",
    "kubernetes": "hook network rdt rights options",
    "apptainer": "permissions group hook network rdt",
    "nomad": "hook network rdt options",
    "oci": "",
}


@pytest.mark.parametrize("name", WORDS)
def test_words(edits: MakeEdits, name: str) -> None:
    assert target(name)(edits(**ALL)).arguments == WORDS[name]


@pytest.mark.parametrize("name", LINES)
def test_lines(edits: MakeEdits, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grp.getgrgid", lambda gid: {}[gid])  # whatever groups this host has
    text = target(name)(edits(**ALL)).text
    assert [line for line in text.splitlines() if not line.startswith("#")] == LINES[name]


@pytest.mark.parametrize("name", DATA)
def test_data(edits: MakeEdits, name: str) -> None:
    assert yaml.safe_load(target(name)(edits(**ALL)).text) == DATA[name]


def test_an_oci_config_has_all(edits: MakeEdits) -> None:
    config = json.loads(target("oci")(edits(**ALL)).text)
    assert set(config) == {"process", "linux", "mounts", "hooks"}


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_lost_is_said(edits: MakeEdits, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grp.getgrgid", lambda gid: {}[gid])
    lost = target(name)(edits(**ALL)).lost
    kinds = [each.edit.partition(" ")[0].replace("intelRdt", "rdt") for each in lost]
    assert kinds == LOST[name].split()
    assert all(each.reason for each in lost)


@pytest.mark.parametrize("name", ["lxc", "incus", "nspawn", "nspawn-file", "systemd", "quadlet", "apptainer"])
def test_a_line_break_is_refused_where_it_would_be_another_line(edits: MakeEdits, name: str) -> None:
    with pytest.raises(RenderError, match="variable A has a line break"):
        target(name)(edits(env=["A=1\nlxc.hook.start = /bin/x"]))


@pytest.mark.parametrize("name", ["docker", "podman", "bwrap"])
def test_a_line_break_is_a_part_of_a_word(edits: MakeEdits, name: str) -> None:
    assert target(name)(edits(env=["A=1\n2"])).arguments[-1].endswith("1\n2")


@pytest.mark.parametrize("name", ["compose", "kubernetes"])
def test_a_line_break_is_a_part_of_a_yaml_text(edits: MakeEdits, name: str) -> None:
    assert "1\n2" in str(yaml.safe_load(target(name)(edits(env=["A=1\n2"])).text)).replace("\\n", "\n")


def test_a_pod_keeps_what_the_kubelet_would_replace(edits: MakeEdits) -> None:
    pod = yaml.safe_load(target("kubernetes")(edits(env=["A=$(B) $$ $C"])).text)
    assert pod["spec"]["containers"][0]["env"] == [{"name": "A", "value": "$$(B) $$$ $C"}]


def test_nomad_refuses_what_it_would_replace(edits: MakeEdits) -> None:
    with pytest.raises(RenderError, match="Nomad would replace"):
        target("nomad")(edits(env=["A=${HOME}"]))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("docker", '--mount\ntype=bind,"src=/a:b,c",dst=/d:e,readonly'),
        ("podman", '--mount\ntype=bind,"src=/a:b,c",dst=/d:e,ro'),
        ("apptainer", '--mount\ntype=bind,"source=/a:b,c",destination=/d:e,ro'),
        ("nspawn", r"--bind-ro=/a\:b,c:/d\:e"),
        ("bwrap", "--ro-bind\n/a:b,c\n/d:e"),
    ],
)
def test_colons_and_commas_in_paths(edits: MakeEdits, name: str, wanted: str) -> None:
    mount = {"hostPath": "/a:b,c", "containerPath": "/d:e", "options": ["ro"]}
    assert "\n".join(target(name)(edits(mounts=[mount])).arguments) == wanted


@pytest.mark.parametrize("name", ["docker", "compose", "podman", "quadlet", "nomad"])
def test_a_device_with_a_colon_is_lost(edits: MakeEdits, name: str) -> None:
    node = {"path": "/dev/a:b", "hostPath": "/dev/null"}
    assert [lost.edit for lost in target(name)(edits(deviceNodes=[node])).lost] == ["device node /dev/a:b"]


@pytest.mark.parametrize("name", ["lxc", "nspawn", "systemd", "bwrap", "docker", "podman", "apptainer"])
def test_a_node_that_this_host_has_not_is_lost(edits: MakeEdits, name: str) -> None:
    node = {"path": "/dev/none", "type": "c", "major": 240, "minor": 1}
    made = target(name)(edits(deviceNodes=[node]))
    assert [lost.reason for lost in made.lost] == ["there is no /dev/none on this host to take it from"]


def test_lxc_quotes_a_variable_that_ends_with_blanks(edits: MakeEdits) -> None:
    assert 'lxc.environment = "A=1  "\n' in target("lxc")(edits(env=["A=1  "])).text


def test_a_systemd_service_needs_no_devices_of_its_own_for_names_that_the_host_has(edits: MakeEdits) -> None:
    text = target("systemd")(edits(deviceNodes=[{"path": "/dev/null"}])).text
    assert "PrivateDevices" not in text
    assert "BindPaths" not in text


@pytest.mark.parametrize("name", ["podman", "quadlet"])
def test_hooks_are_files_of_a_directory(edits: MakeEdits, name: str) -> None:
    made = target(name)(edits(**ALL), hooks_dir="/h")
    assert [json.loads(text) for text in made.files.values()] == [
        {
            "version": "1.0.0",
            "hook": {"path": "/bin/true"},
            "when": {"always": True},
            "stages": ["createContainer"],
        }
    ]
    assert "hook" not in [lost.edit.partition(" ")[0] for lost in made.lost]
    assert "hooks-dir" in (made.text or made.arguments[0])


def test_beside_lxcs_hooks_there_is_only_what_the_container_can_have(edits: MakeEdits) -> None:
    """LXC sets no groups where ids are mapped, and forbids no node; a hook gives rights of old cgroups."""
    given = edits(deviceNodes=[{"path": "/dev/null"}], env=["A=b"], additionalGids=[44])
    mapped, old = beside_hook(given, mapped=True), beside_hook(given, rights=False)
    assert mapped.text.splitlines()[1:] == ["lxc.environment = A=b"]
    assert [lost.edit for lost in mapped.lost] == ["group 44"]
    assert old.text.splitlines()[1:] == ["lxc.environment = A=b", "lxc.init.groups = 44"]
    assert not old.lost


def test_lxcs_start_hook_is_the_one_that_the_mount_hook_makes(edits: MakeEdits) -> None:
    given = edits(hooks=[{"hookName": "startContainer", "path": "/bin/true"}])
    assert beside_hook(given).text.splitlines()[1:] == [f"lxc.hook.start = {START_HOOK}"]
