"""CRI-O: registered by `cdictl engine`, called as a kubelet calls it, and taken out without a trace.

It runs in a machine of its own, whose systemctl can restart it.
"""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from integration.bundles import PROBE, REQUEST, WIDGET, WITH, WITHOUT, report
from integration.cluster.cluster import PLACE, find
from integration.cluster.engine import RUNC
from integration.engines.conftest import SETTINGS as REQUESTS
from integration.engines.conftest import TREE, complaint, make_host, make_widget
from integration.engines.devices import NEVER, ONCE, WRONG, Widget
from integration.engines.host import Host
from integration.engines.image import NAME, make_image
from integration.engines.kubelet import Error, Kubelet

IMAGE = f"localhost/{NAME}"

# What a node has before cdi-runc comes; the probe makes nodes that it was not given.
SETTINGS = f"""# these stay
[crio.runtime]
cgroup_manager = "cgroupfs" # no systemd here
conmon_cgroup = "pod"
default_runtime = "runc"
default_capabilities = ["KILL", "MKNOD"]
[crio.runtime.runtimes.runc]
runtime_path = "/usr/libexec/crio/runc"
runtime_root = "/run/runc"
seccomp_profile = "/etc/crio/seccomp.json" # `crio config` does not tell this
[crio.image]
pause_image = "{IMAGE}"
pause_command = "" # the image's own
"""


class Crio:
    """A CRI-O in a machine to spoil, and what can be said to it: by an administrator and by a kubelet."""

    def __init__(self, host: Host) -> None:
        """Starts the daemon, which has the image already."""
        self.host = host
        self.version = host.version("crio", "--version")
        self.widget = make_widget(host)
        host.write("/etc/crio/crio.conf", SETTINGS)
        host.write("/etc/crio/seccomp.json", '{"defaultAction": "SCMP_ACT_ALLOW"}')
        host.write("/usr/libexec/crio/runc", RUNC)
        loaded = host.run("podman", "load", "--input", str(make_image(host.shared)))
        assert loaded.returncode == 0, loaded.stderr
        host.run_unit("crio", "crio", ready="test -S /run/crio/crio.sock", log=host.shared / "crio.log")
        self.kubelet = Kubelet(host.path("/run/crio/crio.sock"), IMAGE, host.shared / "pods")

    def cdictl(self, *words: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs cdictl, which must end with the status `expect`."""
        done = self.host.run(f"{TREE}/.venv/bin/cdictl", *words)
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    def engine(self, command: str, *words: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs `cdictl engine COMMAND crio`, and waits for a CRI-O that it restarts."""
        done = self.cdictl("engine", command, "crio", *words, expect=expect)
        self.host.wait_for_unit("crio")
        return done

    def probe(self, pod: str, *request: Any, **how: Any) -> dict[str, str]:
        """What a container of the pod says of itself; the widget knows nothing of those before."""
        self.widget.forget()
        return report(self.kubelet.run_container(pod, ["sh", "-c", PROBE], *request, **how))

    def files(self) -> dict[str, bytes]:
        """All files that an engine's registration may touch."""
        roots = [self.host.path(root) for root in ("/etc/crio", "/var/lib/cdi-runc/bin")]
        return {str(path): path.read_bytes() if path.is_file() else b"" for root in roots for path in root.rglob("*")}

    def sandbox_config(self, pod: str) -> dict[str, Any]:
        """The OCI config of a pod's pause container."""
        path = self.host.path(f"/run/containers/storage/vfs-containers/{pod}/userdata/config.json")
        config: dict[str, Any] = json.loads(path.read_text())
        return config


@pytest.fixture(scope="module")
def crio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crio]:
    """CRI-O with no trace of cdi-runc in its files."""
    tools = {name: find(name) for name in ("crio", "pinns")}
    if missing := [name for name, path in tools.items() if path is None]:
        pytest.skip(f"no {' and '.join(missing)} in {PLACE} or on PATH: no Debian or Ubuntu has a package of CRI-O")
    host = make_host(tmp_path_factory.mktemp("crio"), newer=False)
    try:
        for name, path in tools.items():
            host.run("ln", "-sf", str(path), f"/usr/local/bin/{name}")
        if missing := [name for name in ("conmon", "podman", "runc") if not host.has(name)]:
            pytest.skip(f"{' and '.join(missing)} not installed (make engines)")
        yield Crio(host)
    finally:
        host.close()


@pytest.fixture(scope="module")
def node(crio: Crio) -> Iterator[Crio]:
    """CRI-O with the handler cdi-runc."""
    crio.engine("enable", "--restart")
    yield crio
    crio.kubelet.close()
    crio.engine("disable", "--restart")


@pytest.fixture
def widget(crio: Crio) -> Widget:
    return crio.widget


OTHER = "--runtime-name=other"


def test_registered_and_taken_out_again(crio: Crio) -> None:
    before, restarts = crio.files(), crio.host.restarts("crio")
    crio.engine("enable", OTHER, "--restart")
    assert "  the engine: knows it\n" in crio.engine("status").stdout
    assert "other" in crio.cdictl("engine", "list").stdout
    assert "registered already" in crio.engine("enable", OTHER).stdout
    pod = crio.kubelet.run_pod(REQUEST, "other")
    assert crio.probe(pod) == WITH
    crio.kubelet.stop_pod(pod)
    crio.engine("disable", OTHER, "--restart")
    assert crio.files() == before
    assert crio.host.restarts("crio") == restarts + 2
    with pytest.raises(Error, match="failed to find runtime handler other"):
        crio.kubelet.run_pod(REQUEST, "other")


def test_a_dry_run_changes_nothing(crio: Crio) -> None:
    before = crio.files()
    diff = crio.engine("enable", OTHER, "--dry-run", "--set-as-default").stdout
    assert "\n+++ /etc/crio/crio.conf.d/50-other.conf\n" in diff
    assert crio.files() == before


def test_the_handler_has_what_runcs_handler_has(crio: Crio) -> None:
    diff = crio.engine("enable", OTHER, "--dry-run").stdout
    assert '+  seccomp_profile = "/etc/crio/seccomp.json"\n' in diff
    assert '+  runtime_root = "/run/runc"\n' in diff
    assert " --cdi-runtime=/usr/libexec/crio/runc " in diff


def test_the_default_comes_and_goes(crio: Crio) -> None:
    if crio.version < (1, 26):
        refused = crio.engine("enable", OTHER, "--set-as-default", "--restart", expect=1).stderr
        assert "the engine would lose the runtime runc" in refused
        pytest.skip("CRI-O before 1.26 loses its runc when a file names another default, so that is refused")
    crio.engine("enable", OTHER, "--set-as-default", "--restart")
    pod = crio.kubelet.run_pod(REQUEST, handler="")
    assert crio.probe(pod) == WITH
    crio.kubelet.stop_pod(pod)
    crio.engine("disable", OTHER, "--restart")
    assert crio.probe(crio.kubelet.run_pod(REQUEST, handler="")) == WITHOUT


def test_a_runtime_that_pods_need_is_kept(crio: Crio) -> None:
    """Once the handler is gone, CRI-O can't remove a pod's containers any more, not even those that have ended."""
    crio.engine("enable", OTHER, "--restart")
    before = crio.files()
    pod = crio.kubelet.run_pod(handler="other", share_processes=False)
    assert "cdictl: crio has pods of other (" in crio.engine("disable", OTHER, "--restart", expect=1).stderr
    crio.kubelet.start(pod, ["sleep", "60"])
    assert "cdictl: running containers use other (" in crio.engine("disable", OTHER, "--restart", expect=1).stderr
    assert crio.files() == before
    if crio.version >= (1, 30):  # 1.24 can, those between were not tried
        crio.engine("disable", OTHER, "--restart", "--force")
        with pytest.raises(Error, match="failed to find runtime handler other"):
            crio.kubelet.stop_pod(pod)
        crio.engine("enable", OTHER, "--restart")
    crio.kubelet.stop_pod(pod)
    crio.engine("disable", OTHER, "--restart")


def test_pod_that_asks(node: Crio, widget: Widget) -> None:
    """Each container of the pod gets the widget, and the pod's own container, which sees the same request, does not."""
    pod = node.kubelet.run_pod(REQUEST)

    for _ in range(2):
        assert node.probe(pod) == WITH
        assert (widget.standing(), widget.runs()) == (ONCE, 1)
    sandbox = node.sandbox_config(pod)
    assert REQUEST.items() <= sandbox["annotations"].items()
    assert widget.standing_in(sandbox) == NEVER


def test_pod_without_a_pause_container(node: Crio, widget: Widget) -> None:
    """As most pods of CRI-O are."""
    pod = node.kubelet.run_pod(REQUEST, share_processes=False)

    assert node.host.run("runc", "state", pod).returncode == 1
    assert node.probe(pod) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


def test_container_that_asks(node: Crio, widget: Widget) -> None:
    """CRI-O makes the edits itself from 1.24 on, and cdi-runc none twice."""
    if node.version < (1, 30):
        pytest.skip("CRI-O before 1.30 refuses a container that asks for a device of a spec as new as the widget's")
    pod = node.kubelet.run_pod()

    assert node.probe(pod, REQUEST) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)
    assert node.probe(pod) == WITHOUT


def test_pod_that_does_not_ask_has_nothing(node: Crio, widget: Widget) -> None:
    node.kubelet.run_pod(REQUEST)

    assert node.probe(node.kubelet.run_pod()) == WITHOUT
    assert widget.runs() == 0


@pytest.mark.parametrize("handler", ["", "runc"])
def test_pod_of_another_handler_has_nothing(node: Crio, widget: Widget, handler: str) -> None:
    assert node.probe(node.kubelet.run_pod(REQUEST, handler)) == WITHOUT
    assert widget.runs() == 0


@pytest.mark.parametrize("kind", WRONG)
def test_kubelet_is_told_what_is_wrong(node: Crio, kind: str) -> None:
    """The error is what `kubectl describe pod` shows."""
    device, _ = WRONG[kind]
    pod = node.kubelet.run_pod({"cdi.k8s.io/test": device})

    with pytest.raises(Error) as raised:
        node.kubelet.run_container(pod, ["id"])

    assert complaint(node.host, kind) in str(raised.value.details())


@pytest.mark.parametrize("annotations", [{}, REQUEST])
def test_field_of_the_cri_for_devices(node: Crio, widget: Widget, annotations: dict[str, str]) -> None:
    """CRI-O makes the edits; an annotation for the same device beside the field makes none twice."""
    if node.version < (1, 30):
        pytest.skip(
            "CRI-O before 1.30 reads no spec as new as the widget's, and before 1.28 it does not know the field"
        )
    assert node.probe(node.kubelet.run_pod(annotations), devices=[WIDGET]) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


def test_who_has_the_device_and_who_asked(node: Crio) -> None:
    pod = node.kubelet.run_pod(REQUEST)
    node.host.write("/etc/cdi-runc/config.yaml", f"{REQUESTS}audit: file:/var/log/cdi-runc.log\n")
    container = node.kubelet.start(pod, ["sleep", "60"])
    node.host.write("/etc/cdi-runc/config.yaml", REQUESTS)

    [line] = node.host.path("/var/log/cdi-runc.log").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["container"], entry["engine"], entry["namespace"]) == (container, "crio", "default")
    assert (entry["allowed"], entry["devices"], entry["image"]) == (True, [WIDGET], IMAGE)
    assert entry["pod"].startswith("name-")
    holders = json.loads(node.cdictl("who", WIDGET, "-o", "json").stdout)["containers"]
    assert {row["container"]: row["engine"] for row in holders}[container] == "crio"


def test_a_container_is_explained(node: Crio) -> None:
    container = node.kubelet.start(node.kubelet.run_pod(REQUEST), ["sleep", "60"])
    said = node.cdictl("explain", "container", container[:12]).stdout
    assert f"/run/containers/storage/vfs-containers/{container}/userdata/config.json\n" in said
    assert "that hands over to /usr/libexec/crio/runc" in said
    assert f"the edits of {WIDGET} are in config.json\n" in said
    assert "/dev/widget is in the running container as c 1:11, and its cgroup allows it" in said
