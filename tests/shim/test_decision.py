"""What a container gets, and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cdi_runc.cdi.errors import CDIError
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.policy import NONE, counted
from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.requests import Request

DEVICES: Mapping[str, Any] = {
    "v.com/c=0": ("/etc/cdi/v.yaml", {"env": ["FILE=1"]}, {"env": ["A=0"]}),
    "v.com/c=1": ("/etc/cdi/v.yaml", {"env": ["FILE=1"]}, {"env": ["A=1"]}),
}


class Known:
    """A host with two devices, one in conflict, and a spec file that can't be used."""

    def __init__(self, **settings: Any) -> None:
        sources = {"annotations": ["cdi.k8s.io/"], "mounts": "/markers", "env": None}
        self.settings: dict[str, Any] = {
            "spec-dirs": ["/etc/cdi"],
            "requests": sources,
            "restore": "ignore",
            "fault": "",
            "policy": counted(NONE),
        }
        self.settings |= settings
        self.names = list(DEVICES)
        self.refused = {"/etc/cdi/bad.yaml": "/etc/cdi/bad.yaml:1:1: is empty", "/etc/cdi/a.yaml": "conflict"}
        self.conflicts = {"v.com/c=two": ["/etc/cdi/a.yaml", "/etc/cdi/b.yaml"]}

    find = staticmethod(DEVICES.get)

    def rules(self, name: str, text: Callable[[str], str]) -> list[Any]:
        return []


def asking(name: str, **annotations: str) -> dict[str, Any]:
    return {"annotations": {"cdi.k8s.io/x": name, **annotations}}


MARKER = {"destination": "/markers/v.com/c/0", "source": "/dev/null", "type": "bind"}
CRI, CRIO = "io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"


def test_edits_come_in_the_order_of_the_requests() -> None:
    decision = decide(asking("v.com/c=1,v.com/c=0"), "create", Known())
    assert [request.name for request in decision.requests] == ["v.com/c=1", "v.com/c=0"]
    assert [whose for whose, _ in decision.groups] == ["/etc/cdi/v.yaml", "v.com/c=1", "v.com/c=0"]
    assert (decision.refused, decision.reason, decision.mounts) == ([], "", None)


def test_nothing_asked_for_is_nothing_given() -> None:
    decision = decide({"annotations": None}, "create", Known())
    assert (decision.requests, decision.groups, decision.mounts) == ([], [], None)


def test_devices_can_be_named_in_place_of_the_requests() -> None:
    decision = decide(asking("v.com/c=0"), "create", Known(), [Request("v.com/c=1", "command line", "DEVICE")])
    assert [whose for whose, _ in decision.groups] == ["/etc/cdi/v.yaml", "v.com/c=1"]


@pytest.mark.parametrize("key", [CRI, CRIO])
def test_the_sandbox_of_a_pod_gets_nothing(key: str) -> None:
    decision = decide(asking("v.com/c=0,v.com/c=none", **{key: "sandbox"}), "create", Known())
    assert [request.name for request in decision.refused] == ["v.com/c=0", "v.com/c=none"]
    assert (decision.groups, decision.reason) == ([], "a pod's sandbox gets no devices")
    assert decide(asking("v.com/c=0", **{key: "container"}), "create", Known()).groups


def test_a_sandbox_starts_whatever_the_pod_asks_for() -> None:
    assert decide(asking("nonsense", **{CRI: "sandbox"}), "create", Known()).groups == []


@pytest.mark.parametrize(("restore", "gets"), [("ignore", False), ("inject", True)])
def test_a_restored_container_gets_devices_where_the_settings_say_so(restore: str, gets: bool) -> None:
    config = {"mounts": [MARKER]}
    decision = decide(config, "restore", Known(restore=restore))
    assert bool(decision.groups) == gets
    assert decision.mounts == ([] if gets else None)  # a checkpoint has the mount, and needs it


def test_marker_mounts_are_taken_out() -> None:
    other = {"destination": "/data"}
    assert decide({"mounts": [MARKER, other]}, "create", Known()).mounts == [other]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "v.com/c=8",
            "no spec file in /etc/cdi defines v.com/c=8; did you mean v.com/c=1?; "
            "not used: /etc/cdi/bad.yaml:1:1: is empty",
        ),
        ("v.com/c=two", "v.com/c=two is defined twice: in /etc/cdi/a.yaml and in /etc/cdi/b.yaml"),
    ],
)
def test_a_device_that_cannot_be_had(name: str, message: str) -> None:
    with pytest.raises(ShimError) as caught:
        decide(asking(name), "create", Known())
    assert str(caught.value) == message


def test_a_malformed_request() -> None:
    with pytest.raises(CDIError, match="gpu0"):
        decide(asking("gpu0"), "create", Known())


def test_broken_settings_refuse_only_who_asks() -> None:
    known = Known(fault="config.yaml: unknown key 'bogus'")
    assert decide({}, "create", known).groups == []
    with pytest.raises(SettingsError, match="bogus"):
        decide(asking("v.com/c=0"), "create", known)


def test_the_rules_of_the_policy_decide_and_their_notes_are_kept() -> None:
    def rule(action: str, name: str, **limits: Any) -> dict[str, Any]:
        match = {"device": [(name,)], "command": [("create",)], "runtime": [("crun",)]}
        return {"place": f"p:{name}", "action": action, "message": "", "match": match, "limits": limits}

    class WithRules(Known):
        def rules(self, name: str, text: Callable[[str], str]) -> list[Any]:
            audit, deny = rule("audit", "v.com/c=0"), rule("deny", "v.com/c=1")
            return [audit, deny, rule("allow", "v.com/c=0", hooks=[])]

    known = WithRules(policy={"rules": 3, "fault": ""})
    decision = decide(asking("v.com/c=0"), "create", known, runtime="crun")
    assert decision.notes == ["v.com/c=0: asked for by annotation cdi.k8s.io/x (p:v.com/c=0)"]
    assert {name: allowed["place"] for name, allowed in decision.rules.items()} == {"v.com/c=0": "p:v.com/c=0"}
    assert [whose for whose, _ in decision.groups] == ["/etc/cdi/v.yaml", "v.com/c=0"]
    with pytest.raises(ShimError, match=r"v\.com/c=1: denied by the policy \(p:v\.com/c=1\)"):
        decide(asking("v.com/c=1"), "create", known, runtime="crun")
    assert decide(asking("v.com/c=1"), "create", known, runtime="runc").groups
    with pytest.raises(SettingsError, match="bad policy"):
        decide(asking("v.com/c=0"), "create", Known(policy={"rules": 0, "fault": "bad policy"}))
