"""Podman's precreate hook: a container's config.json comes in on standard input, and goes out with its devices.

Podman gives the hook no environment of its own, throws its standard error away, and reads what it prints into types of
its own: fields that it does not know are lost (libpod/hooks, oci-hooks(5)).
"""

import posix

from cdi_runc.cdi.errors import CDIError
from cdi_runc.host import places
from cdi_runc.host.errors import SettingsError
from cdi_runc.shim.bundle import MAX_SIZE
from cdi_runc.shim.cmdline import Call
from cdi_runc.shim.decision import decide, recorded
from cdi_runc.shim.errors import ConfigError, ShimError
from cdi_runc.shim.jsontext import Document
from cdi_runc.shim.outcome import outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cdi_runc.host.known import Known
    from cdi_runc.shim.decision import Decision

# What a user's settings and snapshot are found by. Podman has them, and the hook has not.
_WANTED = (b"HOME", b"XDG_CONFIG_HOME", b"XDG_RUNTIME_DIR")

_SYS_PIDFD_GETFD = 438  # since Linux 5.6


def precreate(environ: "dict[bytes, bytes]", known: "Callable[[], Known]") -> int:
    """Print the config with the devices that it asks for; the exit status."""
    if not places.is_host_root():
        _take_environment(environ)
    try:
        text = _standard_input()
        try:
            document = Document(text)
        except ValueError as error:
            raise ConfigError(f"the config from Podman is not JSON: {error}") from None
        config = document.value
        if not isinstance(config, dict):
            raise ConfigError("the config from Podman is not a JSON object")
        made = _with_devices(config, known())
        document.value = made
        _print(document.text() if made != config else text)
    except (ShimError, SettingsError, CDIError) as fault:
        _tell(str(fault), environ)
        return 1
    return 0


def _with_devices(config: "dict[str, Any]", known: "Known") -> "dict[str, Any]":
    """The config with its devices. What is decided is written down where the settings want that."""
    made = config

    def decides() -> "Decision":
        nonlocal made
        decision = decide(config, "create", known)
        made = config if decision.mounts is None else {**config, "mounts": decision.mounts}
        made = outcome(made, decision.groups, places.in_user_namespace)
        _refuse_what_podman_drops(made, config)
        return decision

    call = Call()
    call.command, call.container = "create", _id_of(config)
    for note in recorded(decides, call, config, known, "", _note).notes:
        _note(note)
    return made


def _id_of(config: "Mapping[str, Any]") -> str:
    """The container's id, as its cgroup or its mounts name it; '' where none of them does."""
    linux, mounts = config.get("linux"), config.get("mounts")
    cgroup = linux.get("cgroupsPath") if isinstance(linux, dict) else None
    if isinstance(cgroup, str) and "libpod" in cgroup:
        return cgroup.rpartition("/")[2].rpartition(":")[2].removeprefix("libpod-").removesuffix(".scope")
    for mount in mounts if isinstance(mounts, list) else ():
        source = mount.get("source") if isinstance(mount, dict) else None
        # containers/storage has a directory for each container, as in overlay-containers/ID/userdata/hosts.
        head, found, rest = source.partition("-containers/") if isinstance(source, str) else ("", "", "")
        if head and found and "/userdata/" in rest:
            return rest.partition("/")[0]
    return ""


def _note(line: str) -> None:
    """Tell the administrator, whose policy wants it, or whose audit fails. It is nothing to the user."""
    from cdi_runc.shim import log  # rare, and so not loaded before

    log.to_syslog("warning", "cdi-runc: " + " ".join(line.split()))


def _take_environment(environ: "dict[bytes, bytes]") -> None:
    """Podman is the user's own process, as we are."""
    try:
        descriptor = posix.open(f"/proc/{posix.getppid()}/environ", posix.O_RDONLY | posix.O_CLOEXEC)
        entries = b""
        while chunk := posix.read(descriptor, 1 << 16):
            entries += chunk
        posix.close(descriptor)
    except OSError:
        return
    for name, _, value in (entry.partition(b"=") for entry in entries.split(b"\0")):
        if name in _WANTED:
            environ.setdefault(name, value)


def _refuse_what_podman_drops(made: "Mapping[str, Any]", config: "Mapping[str, Any]") -> None:
    """Better no container than one whose device lacks a part without a word."""
    linux, before = made.get("linux") or {}, config.get("linux") or {}
    rdt = linux.get("intelRdt") or {}
    dropped = ["netDevices"] if linux.get("netDevices") != before.get("netDevices") else []
    dropped += [f"intelRdt.{field}" for field in ("schemata", "enableMonitoring") if rdt.get(field)]
    if dropped:
        raise ShimError(
            f"Podman drops {' and '.join(dropped)} of a device that a hook adds: start the container with the runtime"
            " cdi-runc (cdictl engine enable podman)"
        )


def _standard_input() -> str:
    data = b""
    while chunk := posix.read(0, 1 << 20):
        data += chunk
        if len(data) > MAX_SIZE:
            raise ConfigError(f"the config from Podman has more than {MAX_SIZE} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"the config from Podman is not UTF-8 at byte {error.start}") from None


def _print(text: str) -> None:
    data = text.encode("utf-8")
    while data:
        data = data[posix.write(1, data) :]


def _tell(message: str, environ: "Mapping[bytes, bytes]") -> None:
    """Tell the user at a Podman in the foreground, and the journal; and keep it for `cdictl explain last`."""
    from cdi_runc.shim import log  # rare, and so not loaded before

    log.tell("error", message, None, "runc")
    line = "cdi-runc: " + " ".join(message.split())
    try:
        descriptor = _standard_error_of(posix.getppid())
        posix.write(descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))
        posix.close(descriptor)
    except OSError:
        pass  # nobody's
    log.to_syslog("error", line)
    log.remember(message, None, places.state_directory(environ, not places.is_host_root()))


def _standard_error_of(process: int) -> int:
    """A descriptor of the file that is a process's standard error, at its own place in that file if we may have it."""
    try:
        import ctypes

        pidfd = posix.pidfd_open(process)
        found: int = ctypes.CDLL(None).syscall(_SYS_PIDFD_GETFD, pidfd, 2, 0)
        posix.close(pidfd)
        if found >= 0:
            return found
    except (ImportError, OSError):
        pass
    # Appended: to open a redirected log in any other way could destroy it.
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
    return posix.open(f"/proc/{process}/fd/2", flags)
