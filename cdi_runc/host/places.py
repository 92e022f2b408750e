"""HOT. Where the settings and the snapshot are, for the host's root and for anybody else.

For the host's root, no variable of the environment moves them. Otherwise, users who can set a variable of root's engine
could choose the devices that root gives away.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_CONFIG = "/etc/cdi-runc/config.yaml"
HASHED = "snapshot#"  # and a number, for a path that is too long for a name
_LONGEST_NAME = 255  # NAME_MAX
_LARGE_PRIME = 2**128 - 159  # with 2**127 - 1, two letters that swap places may leave the number as it was
SYSTEM_STATE = "/run/cdi-runc"


def is_host_root() -> bool:
    """Whether we are root, of the host or of a system container (LXC, Incus, a pod with a user namespace).

    A rootless engine calls its user root too, in its own user namespace. In a system container, the first process is in
    the same user namespace as root. A rootless engine may not look at the namespace of the host's first process.
    """
    if posix.geteuid() != 0:
        return False
    try:
        descriptor = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return True
    try:
        if posix.read(descriptor, 64).split()[:2] == [b"0", b"0"]:
            return True
    finally:
        posix.close(descriptor)
    try:
        return posix.stat("/proc/1/ns/user")[1:3] == posix.stat("/proc/self/ns/user")[1:3]  # inode and device
    except OSError:
        return False


def in_user_namespace() -> bool:
    """Whether this process runs in a user namespace that is not the host's, where no device node can be made."""
    try:
        descriptor = posix.open("/proc/self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return posix.read(descriptor, 64).split() != [b"0", b"0", b"4294967295"]
    finally:
        posix.close(descriptor)


def config_path(environ: "Mapping[bytes, bytes]", rootless: bool) -> str:
    """The config.yaml to use: the user's own if there is one, else the system's, which may be missing."""
    if rootless:
        home = environ.get(b"XDG_CONFIG_HOME") or environ.get(b"HOME", b"") + b"/.config"
        own = _text(home) + "/cdi-runc/config.yaml"
        if home.startswith(b"/") and exists(own):
            return own
    return SYSTEM_CONFIG


def state_directory(environ: "Mapping[bytes, bytes]", rootless: bool) -> str:
    """The directory that holds the snapshots, '' where a rootless user has none."""
    if not rootless:
        return SYSTEM_STATE
    run = environ.get(b"XDG_RUNTIME_DIR", b"")
    return _text(run) + "/cdi-runc" if run.startswith(b"/") else ""


def snapshot_name(config: str) -> str:
    """The snapshot's name in the state directory, one for each config.yaml in use."""
    if config == SYSTEM_CONFIG:
        return "snapshot"
    name = "snapshot" + config.replace("%", "%25").replace("/", "%")
    path = config.encode("utf-8", "surrogateescape")
    if len(path) + name.count("%25") * 2 + len("snapshot") <= _LONGEST_NAME:
        return name
    return f"{HASHED}{int.from_bytes(path, 'little') % _LARGE_PRIME:032x}"


def config_of(snapshot_name: str) -> str:
    """The config of a snapshot that is not the system's; '' if the name is not the name of such a snapshot."""
    _, _, path = snapshot_name.partition("snapshot%")
    return "/" + path.replace("%25", "\0").replace("%", "/").replace("\0", "%") if path else ""


def exists(path: str) -> bool:
    """Whether there is something at the path that we may look at."""
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
