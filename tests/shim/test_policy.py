"""Who may have which device: the first rule that matches decides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from cdi_runc.host import builder, reading
from cdi_runc.host.policy import read
from cdi_runc.host.snapshot import Snapshot
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.policy import Container, judged, limited, matches
from cdi_runc.shim.requests import Request

NAMESPACE = "io.kubernetes.cri.sandbox-namespace"
CRI = {NAMESPACE: "ml", "io.kubernetes.cri.sandbox-name": "train-0"}
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
    """All rules in turn, as a host hands them out that has no index of them."""
    return lambda name, text: given


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
        ("a*bc*bc*d", "a-bc-d", False),
        ("a*bc*bc*d", "a-bc-bc-d", True),
        ("a*bc*bc*d", "abcbcd", True),
        ("a*bc*cd*d", "abcdd", False),
        ("ab*bc", "abc", False),
        ("ab*bc", "abbc", True),
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
        ({"engine": "podman"}, {"annotations": {"io.kubernetes.cri-o.TTY": "false", **PODMAN}}, True),
        ({"engine": "podman"}, {"annotations": {"io.podman.annotations.init": "FALSE"}}, True),
        ({"engine": "crio"}, {"annotations": {"io.container.manager": "cri-o"}}, True),
        ({"engine": "podman"}, {"annotations": {"io.container.manager": ["x"]}}, False),
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


NAMES = ["v.com/gpu=0", "v.com/gpu=10", "v.com/gpux=0", "w.com/gpu=0", "w.com/cam=a"]
TEXTS = ["", "ml", "ml-2", "a.ml"]
GLOBS = ["*", "ml*", "*ml", "ml", "*m*2"]
CONDITIONS = {
    "device": st.lists(st.sampled_from(["*", "v.com/*", "v*0", "*/gpu=0", "v.com/gpu=*", *NAMES, "x"]), min_size=1),
    **{what: st.lists(st.sampled_from(GLOBS), min_size=1) for what in ("namespace", "pod", "image", "runtime")},
    "engine": st.sampled_from(["containerd", "crio", "*", "docker"]),
    "through": st.sampled_from(["annotation", "mount"]),
    "uid": st.lists(st.sampled_from([0, 1, 10]), min_size=1, max_size=2),
    "user-namespace": st.booleans(),
    "labels": st.dictionaries(st.sampled_from(["team", "tier"]), st.sampled_from(GLOBS), min_size=1),
}
RULES = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["allow", "deny", "audit"]),
        "match": st.sets(st.sampled_from(["device", *CONDITIONS]), max_size=2).flatmap(  # more would seldom hold
            lambda keys: st.fixed_dictionaries({key: CONDITIONS[key] for key in sorted(keys)})
        ),
    }
)
CONTAINERS = st.fixed_dictionaries(
    {
        "annotations": st.fixed_dictionaries(
            dict.fromkeys(CRI, st.sampled_from(TEXTS)),
            optional=dict.fromkeys([*CRIO, "tier"], st.sampled_from(TEXTS)),
        ),
        "process": st.just({"user": {"uid": 10}}) | st.none(),
    }
)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[list[Any]], tuple[Any, Snapshot]]]:
    """Makes a policy's compiled rules, and a snapshot of them and of a host without two of the devices."""
    host = tmp_path_factory.mktemp("host")
    (host / "config.yaml").write_text(f"spec-dirs: [{host}/cdi]\n")
    (host / "cdi").mkdir()
    for vendor in ("v", "w"):
        edits = {"containerEdits": {"env": ["A=1"]}}
        spec = {
            "cdiVersion": "0.6.0",
            "kind": f"{vendor}.com/gpu",
            "devices": [{"name": n, **edits} for n in ("0", "10")],
        }
        (host / "cdi" / f"{vendor}.json").write_text(json.dumps(spec))

    def made(given: list[Any]) -> tuple[Any, Snapshot]:
        compiled = rules(host, *given)
        data = builder.build(str(host / "config.yaml"))
        return compiled, Snapshot(lambda start, size: data[start : start + size])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "TICK_NS", 0)  # nobody else writes here
        yield made


def verdict(name: str, through: str, config: dict[str, Any], hand_out: Any) -> tuple[Any, list[str]]:
    """The rule that allows it, or what is said of a denial; and what was told for audit."""
    told: list[str] = []
    try:
        return judged([Request(name, through, "x")], container(config), hand_out, told.append), told
    except ShimError as denied:
        return str(denied), told


@settings(max_examples=300, deadline=None)
@for_all(given=st.lists(RULES, max_size=6), config=CONTAINERS, through=st.sampled_from(["annotation", "mount"]))
def test_the_index_of_a_snapshot_decides_as_all_rules_in_turn(
    indexed: Callable[[list[Any]], tuple[Any, Snapshot]], given: list[Any], config: dict[str, Any], through: str
) -> None:
    compiled, snapshot = indexed(given)
    for name in NAMES:
        assert verdict(name, through, config, snapshot.rules) == verdict(name, through, config, pack(compiled))


def test_a_container_reads_only_the_rules_that_may_be_about_it(
    indexed: Callable[[list[Any]], tuple[Any, Snapshot]],
) -> None:
    given: list[Any] = [{"match": {"device": f"v{n}.com/*"}, "action": "deny"} for n in range(9)]
    given += [{"match": {"device": "*", "namespace": f"n{n}"}, "action": "deny"} for n in range(9)]
    compiled, snapshot = indexed([*given, {"action": "allow"}])
    of_the_pod = container({"annotations": CRI | {NAMESPACE: "n5"}}).text
    assert list(snapshot.rules("v.com/gpu=0", of_the_pod)) == [compiled[14], compiled[18]]


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


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        (
            {
                "io.kubernetes.cri.sandbox-namespace": "ns",
                "io.kubernetes.cri.sandbox-name": "p",
                "io.kubernetes.cri.container-name": "c",
                "io.kubernetes.cri.image-name": "i",
            },
            ["ns", "p", "c", "i", "containerd"],
        ),
        (
            {
                "io.kubernetes.pod.namespace": "ns",
                "io.kubernetes.pod.name": "p",
                "io.kubernetes.container.name": "c",
                "io.kubernetes.cri-o.ImageName": "i",
            },
            ["ns", "p", "c", "i", "crio"],
        ),
        ({"io.container.manager": "libpod"}, ["", "", "", "", "podman"]),
        ({"io.podman.annotations.userns": "keep-id"}, ["", "", "", "", "podman"]),
        ({}, ["", "", "", "", ""]),
    ],
)
def test_what_an_engine_says_of_its_container(annotations: dict[str, str], names: list[str]) -> None:
    found = container({"annotations": annotations})
    assert [found.named(what) for what in ("namespace", "pod", "container", "image", "engine")] == names
    assert (found.text("command"), found.text("runtime"), found.text("uid")) == ("create", "runc", "0")


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        ({"team": "a"}, "a"),
        ({"io.kubernetes.cri-o.Labels": '{"team": "a"}'}, "a"),
        ({"io.kubernetes.cri-o.Labels": '{"team": 1}'}, None),
        ({"io.kubernetes.cri-o.Labels": "["}, None),
        ({"io.kubernetes.cri-o.Labels": "[]"}, None),
        ({"io.kubernetes.cri-o.Labels": 1}, None),
        ({"team": 1}, None),
        ({}, None),
    ],
)
def test_labels(labels: dict[str, Any], value: str | None) -> None:
    found = container({"annotations": labels})
    assert found.label("team") == value
    assert found.text("label team") == (value or "")
