"""Podman, of root and of a plain user: annotations, pods, `play kube`, and its own CDI beside ours."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from integration.bundles import PROBE, WIDGET, WITH, WITHOUT, report
from integration.conftest import BIN
from integration.engines.devices import NEVER, OLDER, ONCE, ONCE_OLDER, PLAIN, WITH_OLDER, WRONG, Widget
from integration.engines.host import Host
from integration.engines.image import NAME

ANNOTATION = ["--annotation", f"cdi.k8s.io/test={WIDGET}"]
VARIABLE = ["--env", f"CDI_DEVICES={WIDGET}"]
MOUNT = ["--volume", "/dev/null:/var/run/cdi-devices/example.com/widget/one"]

REQUESTS = {"annotation": ANNOTATION, "variable": VARIABLE, "mount": MOUNT}

# Podman's own CDI. 4.3 reads specs up to version 0.5.0 only, and finds no others' devices.
NATIVE = ["--device", OLDER]
NATIVE_REQUESTS = {
    "native": NATIVE,
    "native and annotation": [*NATIVE, "--annotation", f"cdi.k8s.io/test={OLDER}"],
    "native and variable": [*NATIVE, "--env", f"CDI_DEVICES={OLDER}"],
}

# Podman gives its containers no CAP_MKNOD, and the probe wants to make nodes that it was not given.
RUN = ["run", "--rm", "--cap-add=MKNOD"]

# The limits are those that a root without CAP_SYS_RESOURCE may set too; the network would be the real machine's.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "localhost/probe:1"
infra_command = "/bin/sleep 3600"
runtime = "cdi-runc"
runtime_supports_json = ["cdi-runc", "cdi-crun", "runc", "crun"]
[engine.runtimes]
cdi-runc = ["/usr/local/bin/cdi-runc"]
cdi-crun = ["/usr/local/bin/cdi-crun"]
"""

KUBE = f"""
apiVersion: v1
kind: Pod
metadata:
  name: asking
  annotations:
    cdi.k8s.io/test: {WIDGET}
spec:
  hostNetwork: true
  restartPolicy: Never
  containers:
    - name: probe
      image: localhost/{NAME}
      imagePullPolicy: Never
      command: [sh, -c, sleep 3600]
"""

# A plain user's containers can be given the host's own nodes only, at their own paths, and can make none.
PLAIN_PROBE = f"""{PROBE}
echo "kmsg: $(stat -c '%F %t:%T' /dev/kmsg)"
"""
PLAIN_WITH = {**WITH_OLDER, "node": "", "widget": "absent", "same numbers": "absent", "unasked": "absent"}
PLAIN_WITH["kmsg"] = "character special file 1:b"


class Podman:
    """Podman in a machine to spoil, as root or as a plain user of it, with cdi-runc as its runtime."""

    def __init__(self, host: Host, image: Path, user: str = "root", env: Mapping[str, str] | None = None) -> None:
        """Loads the image."""
        self.host = host
        self._as_user = ["runuser", "--user", user, "--"] if user != "root" else []
        self._env = env
        self("load", "--input", str(image))

    def __call__(self, *args: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Runs a command of podman's, which must end with the status `expect`."""
        done = self.host.run(*self._as_user, "podman", *args, env=self._env)
        assert done.returncode == expect, done.stderr
        return done

    def remove_all(self) -> None:
        """Removes every pod and container; killed first, since 3.4 can't be told not to wait for them."""
        for kind in ([], ["pod"]):
            self.host.run(*self._as_user, "podman", *kind, "kill", "--all", env=self._env)
        self("pod", "rm", "--all", "--force")
        self("rm", "--all", "--force")


@pytest.fixture(scope="module")
def configured(host: Host, the_widget: Widget) -> Host:
    if not host.has("podman"):
        pytest.skip("Podman is not installed (make engines)")
    if host.version("podman", "--version") < (4, 1):
        pytest.skip("this Podman is older than 4.1, the first with CDI and with the pods that are tried here")
    host.write("/etc/containers/containers.conf", SETTINGS)
    return host


@pytest.fixture(scope="module")
def podman(configured: Host, image: Path) -> Iterator[Podman]:
    podman = Podman(configured, image)
    yield podman
    podman.remove_all()


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("runtime", ["cdi-runc", "cdi-crun"])
def test_container_gets_the_widget(podman: Podman, widget: Widget, runtime: str, request_: str) -> None:
    done = podman(f"--runtime={runtime}", *RUN, *REQUESTS[request_], NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITH
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


def test_a_spec_that_we_made_is_one_for_podmans_own_cdi(podman: Podman) -> None:
    """cdictl is run from outside, since Debian 13's Python has not what it needs."""
    specs = podman.host.path("/run/cdi")
    command = [str(BIN / "cdictl"), "generate", "fuse", "--write", "--output-dir", str(specs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if not (specs / "cdictl-host.local-fuse.yaml").exists():
        pytest.skip(f"no FUSE in this kernel: {done.stderr}")
    look = ["stat", "-c", "%F %t:%T", "/dev/fuse"]
    native = podman("run", "--rm", "--runtime=runc", "--device", "host.local/fuse=fuse", NAME, *look)
    assert native.stdout == "character special file a:e5\n"


@pytest.mark.parametrize("request_", NATIVE_REQUESTS)
def test_what_podman_has_edited_itself_is_not_edited_again(podman: Podman, widget: Widget, request_: str) -> None:
    done = podman(*RUN, *NATIVE_REQUESTS[request_], NAME, "sh", "-c", PROBE)

    assert report(done.stdout) == WITH_OLDER
    assert (widget.standing(), widget.runs()) == (ONCE_OLDER, 1)


def test_container_that_does_not_ask_has_nothing(podman: Podman, widget: Widget) -> None:
    assert report(podman(*RUN, NAME, "sh", "-c", PROBE).stdout) == WITHOUT
    assert widget.runs() == 0


def test_second_start_of_a_container_makes_no_edit_twice(podman: Podman, widget: Widget) -> None:
    container = podman("create", "--cap-add=MKNOD", *ANNOTATION, NAME, "sh", "-c", PROBE).stdout.strip()

    for starts in (1, 2):
        assert report(podman("start", "--attach", container).stdout) == WITH
        assert (widget.standing(), widget.runs()) == (ONCE, starts)


@pytest.mark.parametrize("kind", WRONG)
def test_user_sees_what_is_wrong(podman: Podman, complaints: dict[str, str], kind: str) -> None:
    device, _ = WRONG[kind]
    done = podman("run", "--rm", "--annotation", f"cdi.k8s.io/test={device}", NAME, "true", expect=126)

    assert complaints[kind] in done.stderr


def test_in_a_pod_only_who_asks_gets_the_widget(podman: Podman, widget: Widget) -> None:
    podman("pod", "create", "--name=shared")

    assert report(podman(*RUN, "--pod=shared", NAME, "sh", "-c", PROBE).stdout) == WITHOUT
    assert widget.standing() == NEVER
    assert report(podman(*RUN, "--pod=shared", *ANNOTATION, NAME, "sh", "-c", PROBE).stdout) == WITH
    assert widget.runs() == 1


def test_play_kube_reads_the_annotations_of_the_pod(podman: Podman, widget: Widget) -> None:
    manifest = podman.host.shared / "pod.yaml"
    manifest.write_text(KUBE)

    podman("play", "kube", str(manifest))
    done = podman("exec", "asking-probe", "stat", "-c", "%t:%T", "/dev/widget")

    assert done.stdout == "1:b\n"
    assert (widget.standing(), widget.runs()) == (ONCE, 1)


@pytest.fixture(scope="module")
def rootless(configured: Host, image: Path, the_widget: Widget) -> Iterator[Podman]:
    """Podman of a plain user, with the ids of others that a user namespace of his may have."""
    host = configured
    if not host.has("newuidmap"):
        pytest.skip("uidmap is not installed (make engines)")
    # A user who is no system user is given other ids where these files are.
    made = host.run("sh", "-c", "touch /etc/subuid /etc/subgid && useradd --create-home plain")
    assert made.returncode == 0, made.stderr
    if host.run("runuser", "--user", "plain", "--", "unshare", "--user", "true").returncode != 0:
        pytest.skip("this kernel gives plain users no user namespace")
    uid = host.run("id", "-u", "plain").stdout.strip()
    env = {"HOME": "/home/plain", "XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    host.run("install", "-d", "-o", "plain", "-m", "700", env["XDG_RUNTIME_DIR"])
    # The widget's hooks run as him, and write there.
    host.run("chown", "-R", "plain", str(the_widget.state))
    podman = Podman(host, image, "plain", env)
    yield podman
    podman.remove_all()


@pytest.mark.parametrize(
    "request_", [["--annotation", f"cdi.k8s.io/test={PLAIN}"], ["--env", f"CDI_DEVICES={PLAIN}"], ["--device", PLAIN]]
)
@pytest.mark.parametrize("runtime", ["cdi-runc", "cdi-crun"])
def test_plain_user_gets_the_device(rootless: Podman, widget: Widget, runtime: str, request_: list[str]) -> None:
    done = rootless(f"--runtime={runtime}", *RUN, *request_, NAME, "sh", "-c", PLAIN_PROBE)

    assert report(done.stdout) == PLAIN_WITH
    assert widget.runs() == 1
