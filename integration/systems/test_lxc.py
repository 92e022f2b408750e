"""LXC containers that get the board: by lines that `cdictl render` prints, and by hooks."""

import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator

import pytest

from integration.engines.host import Host
from integration.systems.board import BOARD, PROBE, WITH, Board, report
from integration.systems.conftest import Cdictl, make_root, need

HOME = "/var/lib/lxc"
MAPPED = 100000
ASKS = f"lxc.environment = CDI_DEVICES={BOARD}\n"

# What the board's hooks get, by kind: the stage, the status.
STATUS = {
    "createContainer": "creating",
    "prestart": "created",
    "createRuntime": "created",
    "poststart": "running",
    "poststop": "stopped",
}


class Lxc:
    """Containers of LXC in a machine to spoil. `mapped`: their root is another user to the host."""

    def __init__(self, host: Host, mapped: bool) -> None:
        self.host, self.mapped = host, mapped
        self.rootfs = f"{HOME}/c/rootfs"

    def make(self, config: str) -> None:
        """Make the container c, whose init is the probe."""
        home = self.host.path(f"{HOME}/c")
        if home.exists():
            shutil.rmtree(home)
        make_root(home / "rootfs")
        home.chmod(0o755)
        lines = [
            "lxc.include = /usr/share/lxc/config/common.conf",
            *(["lxc.include = /usr/share/lxc/config/userns.conf"] if self.mapped else []),
            *([f"lxc.idmap = {kind} 0 {MAPPED} 65536" for kind in "ug"] if self.mapped else []),
            f"lxc.rootfs.path = dir:{self.rootfs}",
            "lxc.uts.name = c",
            "lxc.net.0.type = empty",
            "lxc.init.cmd = /bin/sh /probe",
            "lxc.environment = PATH=/bin",
        ]
        text = "\n".join(lines) + "\n" + config
        self.host.write(f"{HOME}/c/config", text)
        self.host.write(f"{self.rootfs}/probe", f"exec > /said 2>&1\n{PROBE}\nsleep 0.3\n")
        if self.mapped:
            self.host.run("chown", "-R", f"{MAPPED}:{MAPPED}", self.rootfs)

    def start(self) -> "subprocess.CompletedProcess[str]":
        """Run the container until it ends."""
        return self.host.run("lxc-start", "--foreground", "--name", "c", timeout=30)

    def said(self) -> dict[str, str]:
        """What the probe said."""
        return report(self.read("said"))

    def read(self, name: str) -> str:
        """A file of the container's."""
        return self.host.path(f"{self.rootfs}/{name}").read_text()

    def log(self) -> str:
        """Our log; it begins anew."""
        path = self.host.path("/var/log/cdi-runc/lxc.log")
        text = path.read_text() if path.exists() else ""
        path.unlink(missing_ok=True)
        return text


@pytest.fixture(scope="module", params=["privileged", "mapped"])
def lxc(request: pytest.FixtureRequest, host: Host) -> Lxc:
    need(host, "lxc-start")
    for name in ("subuid", "subgid"):
        host.write(f"/etc/{name}", f"root:{MAPPED}:65536\n")
    return Lxc(host, request.param == "mapped")


@pytest.fixture
def enabled(cdictl: Cdictl, lxc: Lxc, board: Board) -> Iterator[Lxc]:
    """With the hooks."""
    cdictl("engine", "enable", "lxc")
    board.forget()
    lxc.log()
    yield lxc
    cdictl("engine", "disable", "lxc")
    lxc.host.write("/etc/cdi/board.json", board.spec())


def test_rendered(lxc: Lxc, cdictl: Cdictl, board: Board) -> None:
    lxc.make(cdictl("render", "lxc", BOARD).stdout)
    done = lxc.start()
    assert done.returncode == 0, done.stderr
    said = lxc.said()
    assert said | {"owner": ""} == {**WITH, "groups": said["groups"], "owner": ""}
    assert ("44" in said["groups"].split()) == (not lxc.mapped)  # LXC drops groups where ids are mapped


def test_a_container_gets_all_by_hooks_and_what_is_rendered_beside_them(
    enabled: Lxc, cdictl: Cdictl, board: Board
) -> None:
    enabled.make(ASKS + cdictl("render", "lxc", "--beside-hook", BOARD).stdout)
    done = enabled.start()
    assert done.returncode == 0, done.stderr + enabled.log()
    said = enabled.said()
    assert said | {"owner": ""} == {**WITH, "groups": said["groups"], "owner": ""}
    assert ("44" in said["groups"].split()) == (not enabled.mapped)  # LXC drops groups where ids are mapped
    if not enabled.mapped:  # whose nodes are the host's
        assert said["owner"] == "640 44"
    assert enabled.read("tmp/startContainer").startswith("{")
    states = board.states()
    assert {name: state["status"] for name, state in states.items()} == STATUS
    assert {state["id"] for state in states.values()} == {"c"}
    assert states["prestart"]["pid"] > 1
    complaints = [line for line in enabled.log().splitlines() if " info " not in line and "no groups" not in line]
    assert complaints == []
    assert enabled.host.run("find", "/run/cdi-runc-lxc", "!", "-type", "d").stdout == ""


def renew(lxc: Lxc, unit: str) -> "subprocess.CompletedProcess[str]":
    """Run the command that the drop-in of a unit has, as systemd would before the container starts."""
    text = lxc.host.path(f"/etc/systemd/system/{unit}.d/50-cdi-runc.conf").read_text()
    line = text.splitlines()[-1].removeprefix("ExecStartPre=-").replace("%i", "c")
    return lxc.host.run(*shlex.split(line))


def test_what_hooks_cannot_give_is_renewed_by_the_units(enabled: Lxc, board: Board, cdictl: Cdictl) -> None:
    enabled.make(f"{ASKS}lxc.include = {HOME}/c\n")
    assert enabled.start().returncode == 0, enabled.log()  # the file is not there yet
    assert enabled.said()["spaced"] == ""
    assert f"{HOME}/c/cdi.conf is not as the specs are now" in enabled.log()
    done = renew(enabled, "lxc@.service")
    assert (done.returncode, done.stdout) == (0, f"c: {HOME}/c/cdi.conf is written\n"), done.stderr
    assert enabled.start().returncode == 0, enabled.log()
    said = enabled.said()
    assert said | {"owner": ""} == {**WITH, "groups": said["groups"], "owner": ""}
    assert ("44" in said["groups"].split()) == (not enabled.mapped)
    assert enabled.read("tmp/startContainer").startswith("{")
    enabled.host.write("/etc/cdi/board.json", board.spec(env=["SPACED=and  now"], hooks=[]))
    assert enabled.start().returncode == 0, enabled.log()  # by hand, with what is there from before
    assert renew(enabled, "lxc.service").stdout == f"c: {HOME}/c/cdi.conf is written\n"
    assert renew(enabled, "lxc@.service").stdout == f"c: {HOME}/c/cdi.conf is unchanged\n"
    enabled.log()
    assert enabled.start().returncode == 0, enabled.log()
    assert enabled.said()["spaced"] == "and  now"
    assert [line for line in enabled.log().splitlines() if " warning " in line and "no groups" not in line] == []
    assert "nothing is wrong" in cdictl("explain", "container", "c").stdout


def test_a_container_that_asks_no_more_starts_without(enabled: Lxc) -> None:
    """Also where its config includes the file itself, without which LXC would not read it."""
    enabled.make(f"{ASKS}lxc.include = {HOME}/c/cdi.conf\n")
    assert renew(enabled, "lxc@.service").returncode == 0
    assert enabled.start().returncode == 0, enabled.log()
    config = enabled.host.path(f"{HOME}/c/config")
    config.write_text(config.read_text().replace(ASKS, ""))
    assert renew(enabled, "lxc@.service").stdout == f"c: {HOME}/c/cdi.conf is emptied\n"
    assert enabled.start().returncode == 0
    assert enabled.said()["spaced"] == ""


def test_vendors_hooks_find_the_root_file_system(enabled: Lxc, board: Board) -> None:
    state = board.state
    read = f"""b=$(sed 's/.*"bundle" *: *"\\([^"]*\\)".*/\\1/'); cat "$b/config.json" > {state}/config-$0"""
    hooks = [
        {"hookName": name, "path": "/bin/sh", "args": ["sh", "-c", read, name], "env": ["PATH=/bin:/usr/bin"]}
        for name in ("createContainer", "createRuntime")
    ]
    enabled.host.write("/etc/cdi/board.json", board.spec(hooks=hooks))
    enabled.make(ASKS)
    assert enabled.start().returncode == 0
    roots = [
        re.search(r'"root":\{"path":"([^"]*)"', (state / f"config-{name}").read_text())
        for name in ("createContainer", "createRuntime")
    ]
    assert roots[0]
    assert roots[1]
    assert roots[0][1].endswith("/rootfs")
    assert re.fullmatch(r"/proc/\d+/root", roots[1][1])


def test_rights_are_given_where_no_hook_has_to_run(enabled: Lxc, board: Board) -> None:
    enabled.host.write("/etc/cdi/board.json", board.spec(hooks=[]))
    enabled.make(ASKS)
    assert enabled.start().returncode == 0
    said = enabled.said()
    assert (said["node"], said["opens"]) == ("1:5", "yes")


def test_what_the_config_lacks_is_logged(enabled: Lxc) -> None:
    enabled.make(ASKS)
    assert enabled.start().returncode == 0
    log = enabled.log()
    assert "sets no groups where ids are mapped: 44" in log or not enabled.mapped
    groups = [] if enabled.mapped else ["lxc.init.groups = 44"]
    for line in ("lxc.environment = SPACED=a b", "lxc.hook.start = /dev/.cdi-start", *groups):
        assert f"--beside-hook would write it: {line}" in log
    assert f"put this line into {HOME}/c/config, so that it has what it lacks: lxc.include = {HOME}/c\n" in log


@pytest.fixture
def without_program(enabled: Lxc) -> Iterator[Lxc]:
    """With hooks whose program is gone."""
    config = "/usr/share/lxc/config/common.conf.d/50-cdi-lxc.conf"
    text = enabled.host.path(config).read_text()
    enabled.host.write(config, re.sub(r"exec \S+/cdi-runc", "exec /gone/cdi-runc", text))
    yield enabled
    enabled.host.write(config, text)


def test_a_container_that_asks_for_nothing_starts_no_python(without_program: Lxc) -> None:
    without_program.make("")
    assert without_program.start().returncode == 0
    assert without_program.said()["node"] == ""


def test_a_program_that_is_gone_stops_a_container_that_asks(without_program: Lxc) -> None:
    """Never without its device, and without a word."""
    without_program.make(ASKS)
    assert without_program.start().returncode == 1


def test_an_unknown_device_is_an_error_that_can_be_found(enabled: Lxc, cdictl: Cdictl) -> None:
    enabled.make("lxc.environment = CDI_DEVICES=example.com/board=none\n")
    assert enabled.start().returncode == 1
    story = cdictl("explain", "container", "c", expect=1).stdout
    assert "example.com/board=none" in story.splitlines()[0]
    assert "lxc/c error pre-start: no spec file" in enabled.log()


def test_the_last_of_two_requests_counts(enabled: Lxc) -> None:
    enabled.make("lxc.environment = CDI_DEVICES=example.com/board=none\n" + ASKS)
    assert enabled.start().returncode == 0
    assert enabled.said()["node"] == "1:5"
    assert "has CDI_DEVICES more than once: the last one counts" in enabled.log()


@pytest.mark.parametrize("version", ["0", "1"])
def test_both_versions_of_hooks(enabled: Lxc, version: str) -> None:
    enabled.make(ASKS + f"lxc.hook.version = {version}\n")
    assert enabled.start().returncode == 0
    assert enabled.said()["mount"] == "from the host"


def test_a_request_in_an_included_file(enabled: Lxc) -> None:
    enabled.host.write("/etc/asks.conf", ASKS)
    enabled.make("lxc.include = /etc/asks.conf\n")
    assert enabled.start().returncode == 0
    assert enabled.said()["node"] == "1:5"


def test_a_device_that_is_gone_at_the_end(enabled: Lxc, board: Board) -> None:
    """Its poststop hooks still run, since nothing is resolved again."""
    hook = {"hookName": "createRuntime", "path": "/bin/rm", "args": ["rm", "/etc/cdi/board.json"]}
    poststop = {"hookName": "poststop", "path": "/bin/touch", "args": ["touch", str(board.state / "poststop-ran")]}
    enabled.host.write("/etc/cdi/board.json", board.spec(hooks=[hook, poststop]))
    enabled.make(ASKS)
    assert enabled.start().returncode == 0
    assert (board.state / "poststop-ran").exists()
    (board.state / "poststop-ran").unlink()


def test_specs_that_only_the_hosts_root_can_read(enabled: Lxc) -> None:
    enabled.make(ASKS)
    for path in ("/etc/cdi/board.json", f"{HOME}/c/config"):
        enabled.host.path(path).chmod(0o600)
    assert enabled.start().returncode == 0
    assert enabled.said()["node"] == "1:5"


def test_links_in_the_root_file_system_lead_nowhere_else(enabled: Lxc, board: Board) -> None:
    node = {"path": "/escape/host-node", "hostPath": "/dev/zero"}
    mount = {"hostPath": str(board.state), "containerPath": "/link/deep/mnt", "options": ["ro", "bind"]}
    above = {"hostPath": str(board.state), "containerPath": "/up/mnt", "options": ["bind"]}
    whole = {"hostPath": str(board.state), "containerPath": "/etc-link", "options": ["ro", "bind"]}
    enabled.host.write("/etc/cdi/board.json", board.spec(deviceNodes=[node], mounts=[mount, above, whole], hooks=[]))
    enabled.make(ASKS)
    root = enabled.host.path(enabled.rootfs)
    for name, target in {
        "escape": "/etc",
        "link": "/../../../etc",
        "up": "../../../../../../../../etc",
        "etc-link": "/opt",
    }.items():
        (root / name).symlink_to(target)
    done = enabled.start()
    assert done.returncode == 0, enabled.log()
    assert enabled.host.run("ls", "-d", "/etc/host-node", "/etc/deep", "/etc/mnt").stdout == ""
    assert (root / "etc/deep/mnt").is_dir()
    assert enabled.host.run("test", "-e", "/opt/data").returncode == 1


def test_a_hook_that_fails_stops_the_start_and_says_why(enabled: Lxc, board: Board, cdictl: Cdictl) -> None:
    for stage in ("createContainer", "createRuntime"):
        hook = {"hookName": stage, "path": "/bin/sh", "args": ["sh", "-c", "echo no such card >&2; exit 3"]}
        enabled.host.write("/etc/cdi/board.json", board.spec(hooks=[hook]))
        enabled.make(ASKS)
        assert enabled.start().returncode == 1
        first = cdictl("explain", "container", "c", expect=1).stdout.splitlines()[0]
        assert f"hook {stage} /bin/sh: exit status 3: no such card" in first
    enabled.log()


def test_files_are_as_before(lxc: Lxc, cdictl: Cdictl) -> None:
    def files() -> str:
        return lxc.host.run(
            "sh", "-c", "find /usr/share/lxc /etc/lxc /etc/systemd -type f -exec md5sum {} + -o -type d | sort"
        ).stdout

    before = files()
    would_change = cdictl("engine", "enable", "lxc", "--dry-run").stdout
    for name in ("50-cdi-lxc.conf", "lxc@.service.d/50-cdi-runc.conf", "lxc.service.d/50-cdi-runc.conf"):
        assert f"/{name}\n" in would_change
    assert files() == before
    cdictl("engine", "enable", "lxc")
    assert "ok      device in the container" in cdictl("engine", "test", "lxc").stdout
    assert "lxc: cdi-runc is" in cdictl("engine", "status", "lxc").stdout
    cdictl("engine", "disable", "lxc")
    assert files() == before
    assert lxc.host.run("ls", "-A", HOME).stdout.split() in ([], ["c"])


def test_the_hosts_own_nodes_stay_as_they_are(lxc: Lxc) -> None:
    assert stat.S_IMODE(os.stat("/dev/zero").st_mode) == 0o666
    assert os.stat("/dev/zero").st_uid == 0


def test_a_plain_users_container(host: Host, cdictl: Cdictl, cdictl_path: str, board: Board) -> None:
    """With cgroups that were delegated to the user. The bundle is beside the container's config."""
    need(host, "lxc-start")
    if not host.has("newuidmap") or not os.path.ismount("/sys/fs/cgroup/devices"):
        pytest.skip("no newuidmap, or no cgroups of version 1 to delegate")
    home = "/home/plain/.local/share/lxc/c"
    make_root(host.path(home) / "rootfs")
    host.write(f"{home}/rootfs/probe", f"exec > /said 2>&1\n{PROBE}\nsleep 0.3\n")
    lines = [
        "lxc.include = /usr/share/lxc/config/common.conf",
        "lxc.include = /usr/share/lxc/config/userns.conf",
        *(f"lxc.idmap = {kind} 0 200000 65536" for kind in "ug"),
        f"lxc.rootfs.path = dir:{home}/rootfs",
        "lxc.net.0.type = empty",
        "lxc.init.cmd = /bin/sh /probe",
        "lxc.environment = PATH=/bin",
    ]
    host.write(f"{home}/config", "\n".join(lines) + "\n" + ASKS)
    cgroup = f"cdi-runc-plain-{os.getpid()}"
    host.write("/root/as-plain", AS_PLAIN)
    cdictl("engine", "enable", "lxc")
    board.forget()
    try:
        done = host.run("sh", "-e", "/root/as-plain", home, cgroup, timeout=40)
        assert done.returncode == 0, done.stderr
        said = report(host.path(f"{home}/rootfs/said").read_text())
        assert (said["node"], said["opens"], said["options"]) == ("1:5", "yes", WITH["options"])
        assert sorted(board.states()) == sorted(STATUS)
        log = host.path("/home/plain/.local/state/cdi-runc/lxc.log").read_text()
        assert "lxc/c info pre-start: example.com/board=one is asked for" in log
        assert host.run("ls", "-A", home).stdout.split() == ["config", "rootfs"]
        as_plain = ["runuser", "--user", "plain", "--", "env", "HOME=/home/plain"]
        done = host.run(*as_plain, cdictl_path, "render", "lxc", "--container", "c")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"c: {home}/cdi.conf is written\n"
        assert host.path(f"{home}/cdi.conf").stat().st_uid == 1234
    finally:
        cdictl("engine", "disable", "lxc")
        host.run("sh", "-c", f"find /sys/fs/cgroup/*/{cgroup} -depth -type d -exec rmdir {{}} +")


# $1: the container's directory, $2: the name of a cgroup.
AS_PLAIN = """
id plain > /dev/null 2>&1 || useradd --uid 1234 plain
for name in subuid subgid; do printf 'root:100000:65536\\nplain:200000:65536\\n' > /etc/$name; done
mkdir -p /run/user/1234
chown -R plain /home/plain /run/user/1234
chmod 755 /home/plain
chmod -R o+x /home/plain/.local
chown -R 200000:200000 "$1/rootfs"
for controller in /sys/fs/cgroup/*/; do
    [ -e "$controller/cgroup.procs" ] || continue
    mkdir -p "$controller/$2"
    if [ -e "$controller/cpuset.cpus" ]; then
        cat "$controller/cpuset.cpus" > "$controller/$2/cpuset.cpus"
        cat "$controller/cpuset.mems" > "$controller/$2/cpuset.mems"
    fi
    chown -R plain "$controller/$2"
    echo $$ > "$controller/$2/cgroup.procs"
done
exec runuser --user plain -- env HOME=/home/plain XDG_RUNTIME_DIR=/run/user/1234 lxc-start --foreground --name c
"""
