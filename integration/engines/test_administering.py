"""Engines as administrators have them: odd files, wrong input, other tools beside us. All advice is tried."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.engines.cdictl import TREE, Engine, cdictl_argv, is_debian_13
from integration.engines.conftest import NEWER, make_host
from integration.engines.host import Host
from integration.engines.image import FULL_NAME, NAME, make_image
from integration.engines.kubelet import Kubelet
from integration.engines.test_containerd import SETTINGS

HOME = "/opt/administering"
CONFIG = "/etc/containerd/config.toml"
CRI = 'plugins."io.containerd.grpc.v1.cri"'
DOCKER = f"""{{
    "hosts": ["unix://{HOME}/docker.sock"], "pidfile": "{HOME}/docker.pid",
    "data-root": "{HOME}/docker", "exec-root": "{HOME}/run",
    "storage-driver": "vfs", "iptables": false, "bridge": "none"
}}
"""
# One device whose name has a colon, as the slices of a GPU have.
SPEC = """
cdiVersion: "0.5.0"
kind: vend.com/dev
devices: [{name: "0:1", containerEdits: {env: [DEVICE=slice]}}, {name: whole, containerEdits: {env: [DEVICE=whole]}}]
"""


@pytest.fixture(scope="module", params=["machine", "newer"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A machine of this module's own: daemons of other tests would be found in its place."""
    newer = request.param == "newer"
    if newer and not (NEWER / ".complete").exists():
        pytest.skip(f"no Debian 13 in {NEWER} (make engines-newer)")
    host = make_host(tmp_path_factory.mktemp("administering"), newer)
    if is_debian_13(host) and host.run("python3", "-c", "import tomlkit").returncode != 0:
        pytest.skip("the Debian 13 there is an older one without python3-tomlkit (make engines-newer)")
    host.write("/etc/cdi/vend.yaml", SPEC)
    yield host
    host.close()


@pytest.fixture
def containerd(host: Host) -> Iterator[Engine]:
    """containerd's file at its usual place; no daemon runs."""
    if not host.has("containerd"):
        pytest.skip("containerd is not installed (make engines)")
    yield Engine(host, "containerd")
    host.run("rm", "-rf", "/etc/containerd/config.toml", "/etc/containerd/conf.d", "/var/lib/cdi-runc")


@pytest.fixture(scope="module")
def dockerd(host: Host) -> Iterator[Engine]:
    """A dockerd with a file that is not the usual one, which cdictl has to find out."""
    if not host.has("dockerd"):
        pytest.skip("Docker is not installed (make engines)")
    host.write(f"{HOME}/daemon.json", DOCKER)
    log = host.shared / "administering-dockerd.log"
    daemon = host.start("dockerd", f"--config-file={HOME}/daemon.json", log=log)
    host.wait_for("docker", "--host", f"unix://{HOME}/docker.sock", "version", daemon=daemon, log=log)
    yield Engine(host, "docker")
    host.run("sh", "-c", f"kill $(cat {HOME}/docker.pid)")
    daemon.wait(30)


def docker(engine: Engine, *words: str) -> str:
    done = engine.host.run("docker", "--host", f"unix://{HOME}/docker.sock", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(host: Host, path: str) -> str:
    return host.path(path).read_text()


def dump(engine: Engine) -> str:
    """containerd's settings as it reads its file."""
    done = engine.host.run("containerd", "--config", CONFIG, "config", "dump")
    assert done.returncode == 0, done.stderr
    return done.stdout


KATA = f'\n# for the night shift\n[{CRI}.containerd.runtimes.kata]\n  runtime_type = "io.containerd.kata.v2"\n'
LATER: dict[str, Callable[[str], str]] = {
    "another handler": lambda text: text + KATA,
    "an option of runc": lambda text: text.replace(
        "runtimes.runc]\n", "runtimes.runc]\n  privileged_without_host_devices = true\n"
    ),
}


@pytest.mark.parametrize("change", LATER.values(), ids=LATER)
def test_containerd_keeps_what_others_need_by_now(containerd: Engine, change: Callable[[str], str]) -> None:
    containerd.host.write(CONFIG, "version = 2\n")
    containerd.cdictl("enable")
    changed = change(read(containerd.host, CONFIG))
    containerd.host.write(CONFIG, changed)
    before = dump(containerd)
    containerd.cdictl("disable")
    after = read(containerd.host, CONFIG)
    assert "cdi-runc" not in after
    assert "runtimes.runc]" in dump(containerd)
    assert ("runtimes.kata]" in dump(containerd)) is ("runtimes.kata]" in before)
    assert ("# for the night shift" in after) is ("# for the night shift" in changed)


IMPORTED = f'[{CRI}]\n  sandbox_image = "x"\n'
# What the file says, what cdictl says of it, and the file after that advice was followed.
CAUSES = {
    "as Docker's package ships it": (
        'disabled_plugins = ["cri"]\n',
        f'{CONFIG} turns the CRI plugin off, .* take "cri" out of disabled_plugins there, then repeat this',
        "disabled_plugins = []\n",
    ),
    "without CRI, schema 2": (
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n',
        f'{CONFIG} turns the CRI plugin off, .* take "io.containerd.grpc.v1.cri" out of disabled_plugins there',
        "version = 2\ndisabled_plugins = []\n",
    ),
    "a later schema": (
        "version = 3\n",
        rf"{CONFIG} says version = 3, but containerd [\d.]+ reads version 2 at most: it needs a file of version 2",
        None,
    ),
    "another file has the section": (
        f'version = 2\nimports = ["{HOME}/*.toml"]\n',
        rf"{HOME}/cri.toml, which {CONFIG} imports, also has a section .*: move it from there into {CONFIG}",
        f"version = 2\n{IMPORTED}",
    ),
}


@pytest.mark.parametrize(("text", "words", "mended"), CAUSES.values(), ids=CAUSES)
def test_containerds_refusals_name_the_cause_and_what_helps(
    containerd: Engine, text: str, words: str, mended: str | None
) -> None:
    import re

    host = containerd.host
    host.write(f"{HOME}/cri.toml", f"version = 2\n{IMPORTED}")
    host.write(CONFIG, text)
    said = containerd.cdictl("enable", expect=1).stderr
    assert re.match(f"cdictl: {words}", said), said
    assert len(said.splitlines()) == 1
    assert read(host, CONFIG) == text
    host.write(CONFIG, mended or host.run("containerd", "config", "default").stdout)
    before = read(host, CONFIG)
    containerd.cdictl("enable")
    assert "cdi-runc" in dump(containerd)
    containerd.cdictl("disable")
    assert read(host, CONFIG) == before


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", 'root = "/var/lib/x"\n', "[plugins.cri]\nsandbox_image='x'\n"]
)
def test_containerds_file_may_be_empty_or_of_the_first_schema(containerd: Engine, text: str) -> None:
    containerd.host.write(CONFIG, text)
    containerd.cdictl("enable", "--set-as-default")
    assert 'default_runtime_name = "cdi-runc"' in dump(containerd)
    assert "runtimes.runc]" in dump(containerd)
    containerd.cdictl("disable")
    assert read(containerd.host, CONFIG) == text


def test_containerds_tables_may_be_in_any_order(containerd: Engine) -> None:
    text = (
        "version = 2\r\n"
        f'[{CRI}.containerd.runtimes.runc]\r\n  runtime_type = "io.containerd.runc.v2" # first\r\n'
        "# the grpc\r\n[grpc]\r\n  max_recv_message_size = 16777216\r\n[plugins]\r\n# the end"
    )
    containerd.host.write(CONFIG, "")
    containerd.host.path(CONFIG).write_bytes(text.encode())
    containerd.cdictl("enable")
    assert "runtimes.cdi-runc]" in dump(containerd)
    containerd.cdictl("disable")
    assert containerd.host.path(CONFIG).read_bytes() == text.encode()


@contextmanager
def running_containerd(host: Host, config: str) -> Iterator[None]:
    log = host.shared / "administering-containerd.log"
    pid = f"{HOME}/containerd.pid"
    daemon = host.start("sh", "-c", f"echo $$ > {pid}; exec containerd --config {config}", log=log)
    host.wait_for("ctr", "--address", f"{HOME}/containerd.sock", "version", daemon=daemon, log=log)
    try:
        yield
    finally:
        host.run("sh", "-c", f"kill $(cat {pid})")
        daemon.wait(30)


def test_the_file_that_a_running_containerd_uses_is_meant(containerd: Engine) -> None:
    host, config = containerd.host, f"{HOME}/config.toml"
    text = f'version = 2\nroot = "{HOME}/root"\nstate = "{HOME}/state"\n[grpc]\n  address = "{HOME}/containerd.sock"\n'
    host.write(config, text)
    with running_containerd(host, config):
        said = containerd.cdictl("enable").stdout
        assert said.startswith(f"containerd: the running containerd uses {config}\n")
        assert "cdi-runc" in read(host, config)
        status = containerd.cdictl("status").stdout
        assert "  the engine: has not read its files yet: a restart of containerd\n" in status
    with running_containerd(host, config):
        assert "  the engine: knows it\n" in containerd.cdictl("status").stdout
        containerd.cdictl("disable")
    assert read(host, config) == text


def test_containerds_own_cdi_is_turned_on_and_off(containerd: Engine) -> None:
    containerd.host.write(CONFIG, "version = 2 # mine\n")
    if containerd.host.version("containerd", "--version") < (1, 7):
        said = containerd.cdictl("enable", "--native", expect=1).stderr
        assert "has no CDI of its own (containerd has it since 1.7)" in said
        return
    assert "cdictl engine enable containerd --native" in containerd.cdictl("enable").stdout
    containerd.cdictl("disable")
    assert "enable_cdi = false" in dump(containerd)
    containerd.cdictl("enable", "--native")
    assert "enable_cdi = true" in dump(containerd)
    assert "registered already" not in containerd.cdictl("enable", "--native").stdout
    assert "its own CDI is turned on\n  the engine: is not running" in containerd.cdictl("status").stdout
    containerd.cdictl("disable", "--native")
    assert read(containerd.host, CONFIG) == "version = 2 # mine\n"


def test_the_file_that_a_running_dockerd_uses_is_meant(dockerd: Engine) -> None:
    host = dockerd.host
    said = dockerd.cdictl("enable").stdout
    assert said.startswith(f"docker: the running docker uses {HOME}/daemon.json\n")
    assert not host.path("/etc/docker/daemon.json").exists()
    assert "has not read its files yet: kill -HUP of dockerd" in dockerd.cdictl("status").stdout
    host.run("sh", "-c", f"kill -HUP $(cat {HOME}/docker.pid)")
    deadline = time.monotonic() + 20
    while "knows it" not in dockerd.cdictl("status").stdout and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "  the engine: knows it\n" in dockerd.cdictl("status").stdout
    dockerd.cdictl("disable", "--restart")
    assert read(host, f"{HOME}/daemon.json") == DOCKER


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("runc", "Docker keeps the name runc for itself: use another --runtime-name"),
        ("", "--runtime-name '' is not a runtime's name"),
        ("a b", "--runtime-name 'a b' is not a runtime's name"),
    ],
)
def test_names_that_docker_would_not_survive_are_refused(dockerd: Engine, name: str, words: str) -> None:
    said = dockerd.cdictl("enable", "--runtime-name", name, "--force", expect=1).stderr
    assert said.startswith(f"cdictl: {words}")
    assert read(dockerd.host, f"{HOME}/daemon.json") == DOCKER


def test_docker_without_its_command_is_still_seen_to_run(dockerd: Engine) -> None:
    host = dockerd.host
    commands = [path for path in ("/usr/local/bin/docker", "/usr/bin/docker") if host.path(path).exists()]
    for path in commands:
        host.run("mount", "--bind", "/dev/null", path)
    try:
        argv = [*cdictl_argv(host), "engine", "list", "-o", "json"]
        listed = host.run(*argv, env={"PYTHONPATH": str(TREE)})
        [row] = [row for row in json.loads(listed.stdout)["engines"] if row["engine"] == "docker"]
        assert row["running"] is True
        assert row["cdi"] == ("off" if host.version("dockerd", "--version") >= (25, 0) else "no")
        said = dockerd.cdictl("enable", "--restart", expect=1).stderr
        assert "Docker's client is not installed: no docker on PATH (nothing was changed)" in said
        assert "can't be asked" not in dockerd.cdictl("enable").stdout
        dockerd.cdictl("disable")
    finally:
        for path in commands:
            host.run("umount", path)
    assert read(host, f"{HOME}/daemon.json") == DOCKER


def test_a_path_that_leads_nowhere_fails_the_test_of_an_engine(dockerd: Engine) -> None:
    host, config = dockerd.host, f"{HOME}/daemon.json"
    dockerd.cdictl("enable")
    settings = json.loads(read(host, config))
    settings["runtimes"]["cdi-runc"]["path"] = "/usr/lib/none"
    host.write(config, json.dumps(settings))
    tried = dockerd.cdictl("test", expect=1).stdout
    assert tried.startswith(
        "FAILED  registered: cdi-runc is /usr/lib/none, which does not exist: cdictl engine enable docker"
    )
    dockerd.cdictl("enable")
    dockerd.cdictl("disable", "--restart")


def test_a_device_with_a_colon_in_its_name_is_asked_for_as_advised(dockerd: Engine) -> None:
    said = dockerd.cdictl("enable", "--restart").stdout
    target = "/var/run/cdi-devices/vend.com/dev/0:1"
    mount = f"--mount=type=bind,source=/dev/null,target={target}"
    if dockerd.host.version("dockerd", "--version") < (24, 0):
        assert "--mount type=bind,source=/dev/null,target=/var/run/cdi-devices/vendor.com/class/name" in said
        assert "  requests:\n    mounts: /var/run/cdi-devices\n" in said
    archive = make_image(_fresh(dockerd.host.shared / "image"))
    docker(dockerd, "load", "--input", str(archive))
    words = ["run", "--rm", "--network=none", "--runtime=cdi-runc", mount, NAME, "sh", "-c", "echo $DEVICE"]
    assert docker(dockerd, *words) == "slice\n"
    dockerd.cdictl("disable", "--restart")


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_read_only_file_is_named_and_stops_no_other_engine(host: Host) -> None:
    if not (host.has("dockerd") and host.has("podman")):
        pytest.skip("Docker or Podman is not installed (make engines)")
    host.write("/etc/docker/daemon.json", "{}\n")
    host.run("mount", "--bind", "/etc/docker", "/etc/docker")
    host.run("mount", "-o", "remount,bind,ro", "/etc/docker")
    try:
        engine, other = Engine(host, "docker", "/etc/docker/daemon.json", ""), Engine(host, "podman")
    except OSError:
        engine, other = Engine(host, "docker"), Engine(host, "podman")
    engine.config = "/etc/docker/daemon.json"
    try:
        said = engine.cdictl("enable", expect=1).stderr
        assert said.startswith("cdictl: can't write /etc/docker/daemon.json: Read-only file system; ")
        assert said.endswith("(--dry-run shows the change) (nothing was changed)\n")
        assert '"cdi-runc"' in engine.cdictl("enable", "--dry-run").stdout
        assert not host.path("/var/lib/cdi-runc/pending.json").exists()
        other.cdictl("enable", "--accept-image-annotations")
        other.cdictl("disable")
    finally:
        host.run("umount", "/etc/docker")
    host.run("rm", "/etc/docker/daemon.json")


def test_podman_lets_cdi_crun_run_without_cgroups(host: Host) -> None:
    if not (host.has("podman") and host.has("crun")):
        pytest.skip("Podman or crun is not installed (make engines)")
    podman = Engine(host, "podman")
    podman.cdictl("enable", "--accept-image-annotations", "--runtime-name=cdi-crun", "--wrap=crun")
    archive = make_image(_fresh(host.shared / "podman-image"))
    assert host.run("podman", "load", "--input", str(archive)).returncode == 0
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
    options = ["--rm", "--network=none", "--cgroups=disabled", *limits, "--annotation=cdi.k8s.io/x=vend.com/dev=whole"]
    done = host.run("podman", "--runtime=cdi-crun", "run", *options, NAME, "sh", "-c", "echo $DEVICE")
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr
    podman.cdictl("disable", "--runtime-name=cdi-crun")


def test_a_name_taken_by_force_works_and_is_given_back(host: Host, containerd: Engine) -> None:
    """The advice of the refusal."""
    containerd.host.write(CONFIG, "version = 2\n")
    said = containerd.cdictl("enable", "--runtime-name=runc", expect=1).stderr
    assert (
        "the name runc is taken by runc: use another --runtime-name, or --force to replace it until `disable`" in said
    )
    containerd.cdictl("enable", "--runtime-name=runc", "--force")
    assert '/bin/cdi-runc"' in dump(containerd)
    containerd.cdictl("disable", "--runtime-name=runc")
    assert read(host, CONFIG) == "version = 2\n"


def test_dockers_own_cdi_is_turned_on_and_off(host: Host) -> None:
    if not host.has("dockerd"):
        pytest.skip("Docker is not installed (make engines)")
    config = "/etc/docker/daemon.json"
    text = f'{{"storage-driver": "vfs", "iptables": false, "bridge": "none", "data-root": "{HOME}/native"}}\n'
    host.write(config, text)
    engine = Engine(host, "docker", config, text)
    engine.config = ""
    if host.version("dockerd", "--version") < (25, 0):
        said = engine.cdictl("enable", "--native", expect=1).stderr
        assert " has no CDI of its own (docker has it since 25.0): leave --native out" in said
        return
    host.run_unit("docker", "dockerd", ready="docker version", log=host.shared / "native-dockerd.log")
    archive = make_image(_fresh(host.shared / "native-image"))
    assert host.run("docker", "load", "--input", str(archive)).returncode == 0
    run = ["docker", "run", "--rm", "--network=none", "--device=vend.com/dev=whole", NAME, "sh", "-c", "echo $DEVICE"]
    assert host.run(*run).returncode != 0
    said = engine.cdictl("enable", "--native", "--restart").stdout
    assert "docker run --device vendor.com/class=name" in said
    assert host.run(*run).stdout == "whole\n"
    assert "its own CDI is turned on\n  the engine: knows it\n" in engine.cdictl("status").stdout
    assert "also injects CDI devices itself, without cdi-runc" in engine.cdictl("enable").stdout
    engine.cdictl("disable")
    engine.cdictl("disable", "--native", "--restart")
    assert read(host, config) == text
    assert host.run(*run).returncode != 0


def test_a_plain_user_learns_whose_engine_this_is(host: Host) -> None:
    if not host.has("podman"):
        pytest.skip("Podman is not installed (make engines)")
    host.run("mkdir", "-p", "/home/somebody")
    host.run("chown", "1234:1234", "/home/somebody")
    user = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "env", "HOME=/home/somebody"]
    done = host.run(*user, *cdictl_argv(host), "engine", "enable", "docker", env={"PYTHONPATH": str(TREE)})
    assert done.stdout.startswith("docker: this is your own docker, without root; the system's: run this as root\n"), (
        done.stdout + done.stderr
    )
    assert host.path("/home/somebody/.config/docker/daemon.json").exists()


def test_a_pod_gets_its_device_from_containerd_itself(containerd: Engine) -> None:
    """What `enable containerd --native --restart` is for."""
    host = containerd.host
    if host.version("containerd", "--version") < (1, 7):
        pytest.skip("this containerd has no CDI of its own")
    text = SETTINGS.format(enable_cdi="false")
    host.write(CONFIG, text)
    host.run_unit("containerd", "containerd", ready="ctr version", log=host.shared / "native-containerd.log")
    archive = make_image(_fresh(host.shared / "containerd-image"))
    imported = host.run("ctr", "--namespace=k8s.io", "images", "import", "--snapshotter=native", str(archive))
    assert imported.returncode == 0, imported.stderr
    containerd.cdictl("enable", "--native", "--restart")
    assert "  the engine: knows it\n" in containerd.cdictl("status").stdout
    kubelet = Kubelet(host.path("/run/containerd/containerd.sock"), FULL_NAME, host.shared / "native-pods")
    try:
        pod = kubelet.run_pod(handler="runc")
        assert kubelet.run_container(pod, ["sh", "-c", "echo $DEVICE"], devices=["vend.com/dev=whole"]) == "whole\n"
    finally:
        kubelet.close()
    containerd.cdictl("disable", "--native", "--restart")
    assert read(host, CONFIG) == text


def test_a_byte_order_mark_is_taken_where_docker_takes_it(host: Host) -> None:
    if not host.has("dockerd"):
        pytest.skip("Docker is not installed (make engines)")
    docker = Engine(host, "docker", f"{HOME}/marked.json", '\ufeff{"debug": true}\r\n')
    before = host.path(docker.config).read_bytes()
    if host.version("dockerd", "--version") < (23, 0):
        said = docker.cdictl("enable", expect=1).stderr
        assert "starts with a byte order mark, which Docker reads since 23.0: remove it" in said
        host.path(docker.config).write_bytes(before.removeprefix(b"\xef\xbb\xbf"))
        docker.cdictl("enable")
        docker.cdictl("disable")
        return
    docker.cdictl("enable")
    assert host.path(docker.config).read_bytes().startswith(b'\xef\xbb\xbf{"debug": true, "runtimes"')
    docker.cdictl("disable")
    assert host.path(docker.config).read_bytes() == before
