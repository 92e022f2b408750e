"""Who may have which device: the first rule that matches decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cdi_runc.host.policy import packed, read
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.policy import Container, judged, limited, matches
from cdi_runc.shim.requests import Request

CRI = {"io.kubernetes.cri.sandbox-namespace": "ml", "io.kubernetes.cri.sandbox-name": "train-0"}
CRI |= {"io.kubernetes.cri.container-name": "main", "io.kubernetes.cri.image-name": "reg.io/a:1", "team": "blue"}
CRIO = {"io.kubernetes.pod.namespace": "ml", "io.kubernetes.cri-o.Labels": '{"team": "blue"}'}
PODMAN = {"io.container.manager": "libpod"}
USER = {"process": {"user": {"uid": 1000}}}


def rules(directory: Path, *given: dict[str, Any]) -> Any:
    path = directory / "policy.yaml"
    path.write_text(yaml.safe_dump({"rules": list(given)}))
    path.chmod(0o644)
    found = read(str(path))
    assert found["fault"] == ""
    return found["rules"]


def pack(given: Any) -> Any:
    return packed({"rules": given})["rules"]


def container(config: dict[str, Any], command: str = "create") -> Container:
    return Container(config, command, "runc")


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("*", "", True),
        ("a*", "ab", True),
        ("*b", "ab", True),
        ("a*a", "a", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("nvidia.com/gpu=*", "nvidia.com/gpu=0:1", True),
    ],
)
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    assert matches([tuple(pattern.split("*"))], text) is fits


@pytest.mark.parametrize(
    ("match", "config", "holds"),
    [
        ({"device": "v.com/gpu=*"}, {}, True),
        ({"device": ["x", "v.com/cam=*"]}, {}, False),
        ({"namespace": "ml"}, {"annotations": CRI}, True),
        ({"namespace": "ml"}, {"annotations": CRIO}, True),
        ({"namespace": "ml"}, {"annotations": None}, False),
        ({"namespace": "prod*"}, {"annotations": CRI}, False),
        ({"pod": "train-*", "container": "main", "image": "reg.io/*"}, {"annotations": CRI}, True),
        ({"labels": {"team": "b*"}}, {"annotations": CRI}, True),
        ({"labels": {"team": "b*"}}, {"annotations": CRIO}, True),
        ({"labels": {"team": "b*"}}, {"annotations": {"io.kubernetes.cri-o.Labels": "{"}}, False),
        ({"labels": {"other": "*"}}, {"annotations": CRI}, False),
        ({"uid": [0, 1000]}, USER, True),
        ({"uid": 0}, USER, False),
        ({"uid": 0}, {"process": None}, True),
        ({"user-namespace": True}, {"linux": {"namespaces": [{"type": "user"}]}}, True),
        ({"user-namespace": True}, {}, False),
        ({"through": ["annotation", "mount"]}, {}, True),
        ({"through": "variable"}, {}, False),
        ({"command": "create", "runtime": "run*"}, {}, True),
        ({"command": "run"}, {}, False),
        ({"engine": "containerd"}, {"annotations": CRI}, True),
        ({"engine": "crio"}, {"annotations": CRIO}, True),
        ({"engine": "podman"}, {"annotations": PODMAN}, True),
        ({"engine": "podman"}, {"annotations": CRI}, False),
    ],
)
def test_conditions(tmp_path: Path, match: Any, config: Any, holds: bool) -> None:
    given = rules(tmp_path, {"match": match, "action": "deny", "message": "no"})
    request = Request("v.com/gpu=0", "annotation", "cdi.k8s.io/x")
    if not holds:
        assert judged([request], container(config), pack(given), print) == {}
        return
    with pytest.raises(ShimError) as denied:
        judged([request], container(config), pack(given), print)
    assert str(denied.value) == f"v.com/gpu=0: no ({given[0]['place']})"


def test_the_first_rule_decides_and_audit_goes_on(tmp_path: Path) -> None:
    given = rules(
        tmp_path,
        {"action": "audit"},
        {"match": {"device": "v.com/gpu=0"}, "action": "allow"},
        {"action": "deny"},
    )
    told: list[str] = []
    request = Request("v.com/gpu=0", "mount", "/x")
    assert judged([request], container({}), pack(given), told.append) == {"v.com/gpu=0": given[1]}
    assert told == [f"v.com/gpu=0: asked for by mount /x ({given[0]['place']})"]
    with pytest.raises(ShimError, match=r"v\.com/gpu=1: denied by the policy"):
        judged([Request("v.com/gpu=1", "mount", "/x")], container({}), pack(given), told.append)


EDITS: Any = {
    "env": ["A=1"],
    "hooks": [{"hookName": "prestart", "path": path} for path in ("/usr/bin/nvidia-cdi-hook", "/bin/sh")],
    "mounts": [{"hostPath": "/usr/lib/x", "containerPath": "/usr/lib/x"}, {"hostPath": "/etc", "containerPath": "/e"}],
    "deviceNodes": [
        {"path": "/dev/null", "permissions": "rw"},
        {"path": "/dev/sda", "type": "b", "major": 8, "permissions": "r"},
    ],
    "additionalGids": [44, 0],
}


@pytest.mark.parametrize(
    ("limits", "kind", "kept", "said"),
    [
        ({"hooks": ["/usr/bin/nvidia-*"]}, "hooks", 1, "the hook /bin/sh"),
        ({"hooks": []}, "hooks", 0, "the hook /usr/bin/nvidia-cdi-hook"),
        ({"mount-sources": ["/usr/*"]}, "mounts", 1, "the mount of /etc at /e"),
        ({"mount-targets": ["/e"]}, "mounts", 1, "the mount of /usr/lib/x at /usr/lib/x"),
        ({"block-devices": False}, "deviceNodes", 1, "the block device /dev/sda"),
        ({"permissions": "r"}, "deviceNodes", 1, "the access rw to /dev/null"),
        ({"gids": []}, "additionalGids", 1, "the group 44"),
    ],
)
def test_limits(tmp_path: Path, limits: Any, kind: str, kept: int, said: str) -> None:
    groups = [("/v.yaml", {}), ("v.com/c=0", EDITS)]
    files = {"v.com/c=0": "/v.yaml"}
    [rule] = rules(tmp_path, {"action": "allow", "limits": limits, "message": "ask us"})
    with pytest.raises(ShimError) as refused:
        limited(groups, files, {"v.com/c=0": rule}, print)
    assert str(refused.value) == f"v.com/c=0: {said} is beyond the limits of the policy ({rule['place']}): ask us"
    [rule] = rules(tmp_path, {"action": "allow", "limits": {**limits, "exceeded": "drop"}})
    told: list[str] = []
    found: Any = dict(limited(groups, files, {"v.com/c=0": rule}, told.append))["v.com/c=0"]
    assert len(found[kind]) == kept
    assert {key: value for key, value in found.items() if key != kind} == {k: v for k, v in EDITS.items() if k != kind}
    assert told[0].startswith(f"v.com/c=0: {said} is beyond the limits of the policy")


def test_a_files_own_edits_have_the_limits_of_its_devices(tmp_path: Path) -> None:
    [rule] = rules(tmp_path, {"action": "allow", "limits": {"hooks": []}})
    groups: Any = [("/v.yaml", {"hooks": EDITS["hooks"]}), ("v.com/c=0", {}), ("/w.yaml", {"hooks": EDITS["hooks"]})]
    files = {"v.com/c=0": "/v.yaml", "w.com/c=0": "/w.yaml"}
    with pytest.raises(ShimError, match=r"/v\.yaml: the hook"):
        limited(groups, files, {"v.com/c=0": rule}, print)
    assert limited(groups[2:], files, {"v.com/c=0": rule}, print) == groups[2:]
