"""What `cdictl render` prints, given to the systems that it is for."""

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.engines.host import Host
from integration.engines.image import NAME, make_image
from integration.systems.board import BOARD, PROBE, WITH, Board, report
from integration.systems.conftest import Cdictl, need

# What each system can't say of the board.
NO_OPTIONS = {"options": "ro"}
NO_GROUPS = {"groups": "0"}


def shows(done: "subprocess.CompletedProcess[str]", **wanted: str) -> None:
    """Check what a container said of the board, `wanted` being what its system can't do as the board has it."""
    assert done.returncode == 0, done.stdout + done.stderr
    said = report(done.stdout)
    groups = set(said["groups"].split())
    expected = {**WITH, **wanted}
    assert {**said, "groups": ""} | {"owner": ""} == {**expected, "groups": "", "owner": ""}
    assert set(expected["groups"].split()) <= groups


def test_bubblewrap(host: Host, cdictl: Cdictl, board: Board, rootfs: Path) -> None:
    need(host, "bwrap")
    words = shlex.split(cdictl("render", "bwrap", BOARD).stdout)
    sandbox = ["--bind", str(rootfs), "/", "--dev", "/dev", "--proc", "/proc"]
    # Its binds are nosuid, and nodev for all that is no device.
    shows(host.run("bwrap", *sandbox, *words, "sh", "-c", PROBE, env={"PATH": "/usr/bin:/bin"}), groups="")


@pytest.fixture
def nspawn(host: Host, rootfs: Path) -> list[str]:
    need(host, "systemd-nspawn")
    keys = ["--quiet", "--register=no", "--keep-unit", "--as-pid2", "--pipe"]
    return ["systemd-nspawn", *keys, f"--directory={rootfs}"]


def test_nspawn(host: Host, cdictl: Cdictl, board: Board, nspawn: list[str]) -> None:
    words = shlex.split(cdictl("render", "nspawn", BOARD).stdout)
    shows(host.run(*nspawn, *words, "sh", "-c", PROBE), **NO_OPTIONS, groups="")


def test_a_file_of_nspawn(host: Host, cdictl: Cdictl, board: Board, nspawn: list[str]) -> None:
    host.write("/etc/systemd/nspawn/board.nspawn", cdictl("render", "nspawn", "--file", BOARD).stdout)
    shows(host.run(*nspawn, "--machine=board", "sh", "-c", PROBE), **NO_OPTIONS, groups="")


@pytest.fixture(scope="module")
def image(host: Host) -> Path:
    directory = host.shared / "image"
    directory.mkdir()
    return make_image(directory)


@pytest.fixture(scope="module")
def docker(host: Host, image: Path) -> Iterator[list[str]]:
    need(host, "dockerd")
    socket = "unix:///run/render-docker.sock"
    log = host.shared / "dockerd.log"
    keys = ["--iptables=false", "--bridge=none", "--storage-driver=vfs", f"--host={socket}", "--pidfile=/run/rd.pid"]
    daemon = host.start("dockerd", *keys, "--data-root=/var/lib/docker", "--exec-root=/run/rd", log=log)
    client = ["docker", "--host", socket]
    host.wait_for(*client, "version", daemon=daemon, log=log)
    host.run(*client, "load", "--input", str(image))
    yield client
    host.run("sh", "-c", "kill $(cat /run/rd.pid)")
    daemon.wait(30)


def test_docker(host: Host, cdictl: Cdictl, board: Board, docker: list[str]) -> None:
    words = shlex.split(cdictl("render", "docker", BOARD).stdout)
    shows(host.run(*docker, "run", "--rm", "--network=none", *words, NAME, "sh", "-c", PROBE), **NO_OPTIONS)


def test_compose(host: Host, cdictl: Cdictl, board: Board, docker: list[str]) -> None:
    need(host, "docker-compose")
    if host.version("docker-compose", "version", "--short") < (2, 0):
        pytest.skip("this Compose is older than 2, which the text is for")
    host.write("/root/compose.yaml", f"services: {{NAME: {{image: {NAME}, network_mode: none}}}}\n")
    host.write("/root/cdi.yaml", cdictl("render", "compose", BOARD).stdout)
    files = ["--file", "/root/compose.yaml", "--file", "/root/cdi.yaml"]
    compose = ["docker-compose", "--project-name", "p", *files]
    done = host.run(*compose, "run", "--rm", "-T", "NAME", "sh", "-c", PROBE, env={"DOCKER_HOST": docker[-1]})
    shows(done, **NO_OPTIONS)


@pytest.fixture(scope="module")
def podman(host: Host, image: Path) -> list[str]:
    need(host, "podman")
    host.write("/etc/containers/policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}')
    host.write(
        "/etc/containers/storage.conf", '[storage]\ndriver = "vfs"\nrunroot = "/run/rp"\ngraphroot = "/var/rp"\n'
    )
    host.write(
        "/etc/containers/containers.conf",
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\nnetns = "none"\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
        f'infra_image = "localhost/{NAME}"\ninfra_command = "/bin/sleep 3600"\n',
    )
    done = host.run("podman", "load", "--input", str(image))
    assert done.returncode == 0, done.stderr
    return ["podman"]


def test_podman(host: Host, cdictl: Cdictl, board: Board, podman: list[str]) -> None:
    board.forget()
    hooks = str(host.shared / "podman-hooks")
    words = shlex.split(cdictl("render", "podman", BOARD, "--hooks-dir", hooks).stdout)
    shows(host.run(*podman, "run", "--rm", *words, f"localhost/{NAME}", "sh", "-c", PROBE))
    # startContainer's runs in the container.
    assert sorted(board.states()) == ["createContainer", "createRuntime", "poststart", "poststop", "prestart"]


def test_quadlet(host: Host, cdictl: Cdictl, board: Board, podman: list[str]) -> None:
    generator = "/usr/libexec/podman/quadlet"
    need(host, generator)
    if host.version("podman", "--version") < (5, 0):
        pytest.skip("Quadlet in Podman 4.9 reads no drop-ins")
    board.forget()
    hooks = str(host.shared / "quadlet-hooks")
    text = f"[Container]\nImage=localhost/{NAME}\nExec=sleep 60\n"
    host.write("/etc/containers/systemd/board.container", text)
    drop_in = cdictl("render", "quadlet", BOARD, "--hooks-dir", hooks).stdout
    host.write("/etc/containers/systemd/board.container.d/cdi.conf", drop_in)
    unit = host.run(generator, "--dryrun").stdout
    start = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    words = as_systemd_reads(start.removeprefix("ExecStart="))
    # The same command, without what only a unit can do, and with the probe for the container's own.
    words = [word for word in words if not word.startswith(("--sdnotify", "--cidfile", "--cgroups", "--replace"))]
    words = [word for word in words if word not in ("-d", "--rm", "--name", "systemd-%N")]
    words = words[: words.index(f"localhost/{NAME}")]
    shows(host.run(*words, "--rm", f"localhost/{NAME}", "sh", "-c", PROBE))
    assert "prestart" in board.states()


def as_systemd_reads(line: str) -> list[str]:
    """The words of an ExecStart= (systemd.service(5), "Command Lines"): specifiers, variables, quotes, escapes."""
    words = shlex.split(line.replace("\\\\", "\0").replace('\\"', "\1").replace("\\x20", " "))
    plain = {"\0": "\\", "\1": '"', "%%": "%", "$$": "$"}
    for written, meant in plain.items():
        words = [word.replace(written, meant) for word in words]
    return words


def test_a_pod_of_podman(host: Host, cdictl: Cdictl, board: Board, podman: list[str]) -> None:
    if host.version("podman", "--version") < (5, 0):
        pytest.skip("Podman 4.3 mounts no volume of the type CharDevice")
    pod = yaml.safe_load(cdictl("render", "kubernetes", BOARD).stdout)
    container = pod["spec"]["containers"][0]
    container |= {
        "name": "probe",
        "image": f"localhost/{NAME}",
        "command": ["sh", "-c", PROBE.strip()],
    }  # Podman 5.4 trips over a line break in front
    # The device cgroup stays shut for it, as standard error says.
    container["securityContext"] = {"privileged": True}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "board"}, **pod}
    pod["spec"] |= {"restartPolicy": "Never", "hostNetwork": True}
    host.write("/root/pod.yaml", yaml.safe_dump(pod))
    done = host.run(*podman, "play", "kube", "/root/pod.yaml")
    assert done.returncode == 0, done.stderr
    host.run(*podman, "wait", "board-probe")
    logs = host.run(*podman, "logs", "board-probe")
    host.run(*podman, "pod", "rm", "--force", "board")
    shows(logs, **NO_OPTIONS)


def test_a_bundle(host: Host, cdictl: Cdictl, board: Board, rootfs: Path) -> None:
    from integration.bundles import oci_config

    bundle = host.shared / "bundle"
    bundle.mkdir()
    config = oci_config(["sh", "-c", PROBE])
    part = json.loads(cdictl("render", "oci", BOARD).stdout)
    merged = _merged(config, part)
    merged["root"] = {"path": str(rootfs)}
    (bundle / "config.json").write_text(json.dumps(merged))
    shows(host.run("runc", "run", "--bundle", str(bundle), "board"))


def _merged(first: Any, second: Any) -> Any:
    """Two JSON values in one."""
    if isinstance(first, dict):
        return {
            **first,
            **{key: _merged(first[key], value) if key in first else value for key, value in second.items()},
        }
    return first + second if isinstance(first, list) else second
