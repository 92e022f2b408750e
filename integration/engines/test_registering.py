"""`cdictl engine` with real engines: enabled, tried, disabled, and every file byte for byte as before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.engines.cdictl import Engine, is_debian_13
from integration.engines.host import Host
from integration.engines.image import NAME

HOME = "/opt/registering"

# Each engine's settings hold more than what is ours, and lie beside the usual place: another test may run one there.
DOCKER = f"""{{
    "hosts": ["unix://{HOME}/docker.sock"], "pidfile": "{HOME}/docker.pid",
    "data-root": "{HOME}/docker",   "exec-root": "{HOME}/run",
    "storage-driver": "vfs", "iptables": false, "bridge": "none",
    "runtimes": {{"other": {{"path": "/usr/bin/runc"}}}},
    "features": {{"buildkit": true}}
}}
"""
PODMAN = """# these stay
[containers]
netns = "none"
[engine]
cgroup_manager = "cgroupfs" # no systemd here
events_logger = "file"
runtime = "runc"
"""
CONTAINERD = f"""# these stay
version = 2
root = "{HOME}/containerd"
state = "{HOME}/state"
[grpc]
  address = "{HOME}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  disable_apparmor = true
  restrict_oom_score_adj = true # no CAP_SYS_RESOURCE
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
"""
# What status says after enable: nobody has restarted containerd yet.
KNOWN = {
    "docker": "knows it",
    "podman": "knows it",
    "containerd": "has not read its files yet: a restart of containerd",
}

WORKS = ["registered", "container started", "request reaches config.json", "device in the container", "cleaned up"]


@pytest.fixture(scope="module", autouse=True)
def _packages(host: Host) -> None:
    if is_debian_13(host) and host.run("python3", "-c", "import tomlkit").returncode != 0:
        pytest.skip("the Debian 13 there is an older one without python3-tomlkit (make engines-newer)")


@pytest.fixture(scope="module")
def docker(host: Host) -> Iterator[Engine]:
    if not host.has("dockerd"):
        pytest.skip("Docker is not installed (make engines)")
    engine = Engine(host, "docker", f"{HOME}/daemon.json", DOCKER)
    log = host.shared / "registering-dockerd.log"
    daemon = host.start("dockerd", "--config-file", engine.config, log=log)
    host.wait_for("docker", "--host", f"unix://{HOME}/docker.sock", "version", daemon=daemon, log=log)
    yield engine
    host.run("sh", "-c", f"kill $(cat {HOME}/docker.pid)")
    daemon.wait(30)


@pytest.fixture(scope="module")
def podman(host: Host) -> Engine:
    if not host.has("podman"):
        pytest.skip("Podman is not installed (make engines)")
    if host.version("podman", "--version") < (4, 1):
        pytest.skip("this Podman is older than 4.1, the oldest that is tried here")
    return Engine(host, "podman", f"{HOME}/containers.conf", PODMAN)


@pytest.fixture(scope="module")
def containerd(host: Host) -> Iterator[Engine]:
    if not host.has("containerd"):
        pytest.skip("containerd is not installed (make engines)")
    if host.version("containerd", "--version") >= (2, 0):
        pytest.skip("containerd 2 has another config, and was tried by hand (docs/engines.md)")
    engine = Engine(host, "containerd", f"{HOME}/config.toml", CONTAINERD)
    log = host.shared / "registering-containerd.log"
    daemon = host.start("sh", "-c", f"echo $$ > {HOME}/containerd.pid; exec containerd -c {engine.config}", log=log)
    host.wait_for("ctr", "--address", f"{HOME}/containerd.sock", "version", daemon=daemon, log=log)
    yield engine
    host.run("sh", "-c", f"kill $(cat {HOME}/containerd.pid)")
    daemon.wait(30)


@pytest.fixture(params=["docker", "podman", "containerd"])
def engine(request: pytest.FixtureRequest, host: Host) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def _runtimes(engine: Engine) -> str:
    """What a running dockerd knows: its runtimes, and its default."""
    words = ["info", "--format", "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}default {{.DefaultRuntime}}"]
    return engine.host.run("docker", "--host", f"unix://{HOME}/docker.sock", *words).stdout.strip()


def test_enabled_tried_disabled(engine: Engine) -> None:
    restart = ["--restart"] if engine.name == "docker" else []
    consent = ["--accept-image-annotations"] if engine.name == "podman" else []
    engine.cdictl("enable", *consent, *restart)
    assert engine.now() != engine.text
    tried = engine.cdictl("test").stdout.splitlines()
    assert [line.split("  ", 1)[0] for line in tried] == ["ok"] * len(WORKS), tried
    assert [line[8:].split(":")[0] for line in tried] == WORKS
    assert "registered already" in engine.cdictl("enable", *consent, *restart).stdout
    assert f"  the engine: {KNOWN[engine.name]}\n" in engine.cdictl("status").stdout
    engine.cdictl("disable", *restart)
    assert engine.now() == engine.text


def test_a_dry_run_changes_nothing(engine: Engine) -> None:
    diff = engine.cdictl("enable", "--dry-run", "--set-as-default").stdout
    assert diff.startswith(f"--- {engine.config}\n+++ {engine.config}\n")
    assert "-# these stay" not in diff
    assert engine.now() == engine.text


def test_the_default_comes_and_goes_and_the_engine_obeys(docker: Engine) -> None:
    docker.cdictl("enable", "--set-as-default", "--restart")
    assert _runtimes(docker).endswith("default cdi-runc")
    docker.cdictl("disable", "--restart")
    assert "cdi-runc" not in _runtimes(docker)
    assert _runtimes(docker).endswith("default runc")
    assert docker.now() == docker.text


def test_a_runtime_in_use_is_kept(docker: Engine, image: Path) -> None:
    def run(*words: str) -> None:
        done = docker.host.run("docker", "--host", f"unix://{HOME}/docker.sock", *words)
        assert done.returncode == 0, done.stderr

    docker.cdictl("enable", "--restart")
    run("load", "--input", str(image))
    run("run", "--detach", "--name=using", "--network=none", "--runtime=cdi-runc", NAME, "sleep", "60")
    said = docker.cdictl("disable", "--restart", expect=1).stderr
    assert said.startswith("cdictl: running containers use cdi-runc (")
    run("rm", "--force", "using")
    docker.cdictl("disable", "--restart")
    assert docker.now() == docker.text


@pytest.mark.parametrize("broken", ["{", "x = [\n"])
def test_a_broken_config_is_named_with_its_line(engine: Engine, broken: str) -> None:
    engine.host.write(engine.config, broken)
    try:
        said = engine.cdictl("enable", expect=1).stderr
        assert len(said.splitlines()) == 1
        assert engine.config in said
        assert engine.now() == broken
    finally:
        engine.host.write(engine.config, engine.text)


def test_podmans_drop_in_comes_and_goes(podman: Engine) -> None:
    usual = Engine(podman.host, "podman")
    usual.cdictl("enable", "--accept-image-annotations", "--runtime-name=cdi-extra")
    info = podman.host.run("podman", "--runtime=cdi-extra", "info", "--format={{.Host.OCIRuntime.Name}}")
    assert info.stdout == "cdi-extra\n"
    usual.cdictl("disable", "--runtime-name=cdi-extra")
    assert not podman.host.path("/etc/containers/containers.conf.d").exists()
