"""Podman's precreate hook: devices without another runtime, as root and as a plain user, and builds that go on."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from integration.engines.host import Host
from integration.engines.image import NAME, make_image
from integration.systems.board import BOARD, PROBE, WITH, Board, report
from integration.systems.conftest import Cdictl, need

IMAGE = f"localhost/{NAME}"
ANNOTATION = f"cdi.k8s.io/x={BOARD}"
RUN = ["run", "--rm"]
HOOKS = "/etc/cdi-runc/hooks.d"
CONTAINERS_CONF = f"""\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
infra_image = "{IMAGE}"
infra_command = "/bin/sleep 3600"
"""

Podman = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def podman(host: Host) -> Podman:
    need(host, "podman")
    host.write("/etc/containers/policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}')
    host.write(
        "/etc/containers/storage.conf", '[storage]\ndriver = "vfs"\nrunroot = "/run/rp"\ngraphroot = "/var/rp"\n'
    )
    host.write("/etc/containers/containers.conf", CONTAINERS_CONF)
    directory = host.shared / "image"
    directory.mkdir()
    archive = make_image(directory)

    def run(*args: str, expect: int = 0, command: str = "podman") -> "subprocess.CompletedProcess[str]":
        done = host.run(command, *args)
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    run("load", "--input", str(archive))
    return run


@pytest.fixture
def enabled(host: Host, cdictl: Cdictl, podman: Podman, board: Board) -> Iterator[Podman]:
    """With the hook."""
    cdictl("engine", "enable", "podman", "--hooks", "--accept-image-annotations")
    board.forget()
    yield podman
    cdictl("engine", "disable", "podman", "--hooks")
    host.write("/etc/cdi/board.json", board.spec())


def said(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """What the probe said, but for the groups, to which Podman adds."""
    found = report(done.stdout)
    assert "44" in found.pop("groups").split()
    return found


WANTED = {**{key: value for key, value in WITH.items() if key != "groups"}, "owner": "640 44"}


def test_a_container_with_the_annotation_has_all(enabled: Podman, board: Board) -> None:
    assert said(enabled(*RUN, "--annotation", ANNOTATION, IMAGE, "sh", "-c", PROBE)) == WANTED
    assert sorted(board.states()) == ["createContainer", "createRuntime", "poststart", "poststop", "prestart"]


def test_a_container_without_it_has_nothing(enabled: Podman) -> None:
    assert report(enabled(*RUN, IMAGE, "sh", "-c", PROBE).stdout)["node"] == ""


def test_a_pod(host: Host, enabled: Podman) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "board", "annotations": {"cdi.k8s.io/x": BOARD}},
        "spec": {
            "hostNetwork": True,
            "restartPolicy": "Never",
            "containers": [{"name": "probe", "image": IMAGE, "command": ["sh", "-c", PROBE.strip()]}],
        },
    }
    host.write("/root/pod.yaml", json.dumps(pod))
    enabled("play", "kube", "/root/pod.yaml")
    enabled("wait", "board-probe")
    logs = enabled("logs", "board-probe")
    enabled("pod", "rm", "--force", "board")
    assert report(logs.stdout)["node"] == "1:5"


def test_a_request_by_a_mount(enabled: Podman) -> None:
    """The settings of these machines take mounts for requests (engines/conftest.py)."""
    mount = "/dev/null:/var/run/cdi-devices/example.com/board/one"
    assert report(enabled(*RUN, "--volume", mount, IMAGE, "sh", "-c", PROBE).stdout)["node"] == "1:5"


def test_the_reason_reaches_the_user(enabled: Podman) -> None:
    done = enabled(*RUN, "--annotation", "cdi.k8s.io/x=example.com/board=none", IMAGE, "true", expect=126)
    assert [line for line in done.stderr.splitlines() if line.startswith("cdi-runc: ")]
    assert "example.com/board=none" in done.stderr


def test_a_log_that_is_redirected_is_not_destroyed(host: Host, enabled: Podman) -> None:
    script = (
        f"echo before > /root/log; exec podman run --rm --annotation cdi.k8s.io/x=example.com/board=none {IMAGE} true"
    )
    host.run("sh", "-c", f"{script} 2>> /root/log")
    log = host.path("/root/log").read_text()
    assert log.startswith("before\n")
    assert "cdi-runc: " in log


def test_what_podman_would_drop_is_refused(host: Host, enabled: Podman, board: Board) -> None:
    spec = json.loads(board.spec(netDevices=[{"hostInterfaceName": "eth9", "name": "rdma0"}]))
    host.write("/etc/cdi/board.json", json.dumps(spec | {"cdiVersion": "1.1.0"}))
    done = enabled(*RUN, "--annotation", ANNOTATION, IMAGE, "true", expect=126)
    assert "Podman drops netDevices" in done.stderr


def test_each_start_has_the_spec_of_the_day(host: Host, enabled: Podman, board: Board) -> None:
    enabled("create", "--name", "twice", "--annotation", ANNOTATION, IMAGE, "sh", "-c", 'echo "v: $V"')
    try:
        for value in ("1", "2"):
            host.write("/etc/cdi/board.json", board.spec(env=[f"V={value}"], hooks=[]))
            assert report(enabled("start", "--attach", "twice").stdout)["v"] == value
        host.path("/etc/cdi/board.json").unlink()
        enabled("start", "--attach", "twice", expect=125)
    finally:
        enabled("rm", "--force", "twice")


def test_builds_go_on(host: Host, enabled: Podman) -> None:
    host.write("/root/build/Containerfile", f"FROM {IMAGE}\nRUN true\n")
    options = ["--network=host", "--isolation=chroot", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
    enabled("build", *options, "/root/build")
    if host.has("buildah"):
        enabled("build", *options, "/root/build", command="buildah")


def test_a_plain_user(host: Host, enabled: Podman, cdictl: Cdictl, board: Board) -> None:
    """By the system's hook. A user can be given the host's nodes, and groups that he has."""
    if not host.has("runuser") or not host.has("newuidmap"):
        pytest.skip("no runuser or newuidmap")
    setup = """
    useradd --create-home --uid 1234 plain && usermod --add-subuids 200000-265535 --add-subgids 200000-265535 plain
    mkdir -p /run/user/1234 && chown plain /run/user/1234 && chmod 700 /run/user/1234
    """
    assert host.run("sh", "-ec", setup).returncode == 0
    home = "/home/plain/.config/containers"
    host.write(f"{home}/storage.conf", '[storage]\ndriver = "vfs"\n')
    host.run("chown", "-R", "plain", "/home/plain")
    env = {"HOME": "/home/plain", "XDG_RUNTIME_DIR": "/run/user/1234", "USER": "plain", "LOGNAME": "plain"}
    archive = host.shared / "image" / "image.tar"
    archive.chmod(0o644)
    archive.parent.chmod(0o755)
    spec = json.loads(board.spec(additionalGids=[], hooks=[]))
    spec["devices"][0]["containerEdits"]["deviceNodes"] = [{"path": "/dev/board", "hostPath": "/dev/zero"}]
    host.write("/etc/cdi/board.json", json.dumps(spec))

    def user(*args: str) -> "subprocess.CompletedProcess[str]":
        return host.run("runuser", "--user", "plain", "--", "podman", *args, env=env)

    loaded = user("load", "--input", str(archive))
    if loaded.returncode != 0:
        pytest.skip(f"no podman for a plain user here: {loaded.stderr.splitlines()[-1]}")
    # The host's /dev is a plain user's to look at only through nodes that everybody may open.
    done = user("--runtime=crun", *RUN, "--cgroups=disabled", "--annotation", ANNOTATION, IMAGE, "sh", "-c", PROBE)
    assert done.returncode == 0, done.stderr
    found = report(done.stdout)
    assert (found["node"], found["opens"], found["odd"]) == ("1:5", "yes", WITH["odd"])
    assert host.run("ls", "/run/user/1234/cdi-runc").stdout.split() != []  # the snapshot of the user's own


def test_files_are_as_before(host: Host, cdictl: Cdictl, podman: Podman) -> None:
    def files() -> str:
        return host.run("sh", "-c", "find /etc/containers /etc/cdi-runc -type f -exec md5sum {} + | sort").stdout

    before = files()
    assert "hooks_dir" in cdictl("engine", "enable", "podman", "--hooks", "--dry-run").stdout
    assert files() == before
    cdictl("engine", "enable", "podman", "--hooks", "--accept-image-annotations")
    assert "ok      device in the container" in cdictl("engine", "test", "podman", "--hooks").stdout
    assert "podman-hooks: cdi-runc is" in cdictl("engine", "status").stdout
    cdictl("engine", "disable", "podman", "--hooks")
    assert files() == before


def test_a_file_of_that_name_is_not_touched(host: Host, cdictl: Cdictl, podman: Podman) -> None:
    for folder in (HOOKS, "/usr/share/containers/oci/hooks.d"):
        host.write(f"{folder}/50-cdi-runc.json", "{}\n")
        try:
            said = cdictl("engine", "enable", "podman", "--hooks", "--accept-image-annotations", expect=1).stderr
            assert "50-cdi-runc.json" in said
            assert host.path(f"{folder}/50-cdi-runc.json").read_text() == "{}\n"
        finally:
            shutil.rmtree(host.path(folder))
