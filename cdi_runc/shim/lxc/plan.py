"""What `pre-start` leaves for the later hooks of the same start: a bundle with a config.json, and the plan in it.

For containers of the host's root the bundles are in /run/cdi-runc-lxc, each at its config file's own path. A user's
bundle is beside the container's config. Anybody may read them: the container's root is somebody else to the host.
"""

import posix

from cdi_runc.host import places
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.jsontext import Document
from cdi_runc.shim.lxc import waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ROOTS = "/run/cdi-runc-lxc"

# Vendors' hooks read the root file system's path from it (NVIDIA's toolkit, internal/oci/state.go).
_CONFIG = "config.json"
_PLAN = "plan.json"
_SAID = "said"
# Is there if start-host has something to do. Where that is only to give rights, it holds these, a line each: then the
# hook's line (engines/lxc.py) gives them, and needs no Python. Where it is empty, Python does all.
_START_HOST = "start-host"


def new_bundle(config_file: str, container_root: int) -> str:
    """Make an empty bundle for a container, with a file that the container's root may write its words to."""
    bundle = _bundles(config_file)[0 if places.is_host_root() else 1]
    remove(bundle)
    _make_directories(bundle)
    said = f"{bundle}/{_SAID}"
    posix.close(posix.open(said, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600))
    if container_root and places.is_host_root():
        posix.chown(said, container_root, -1)
    elif container_root:
        posix.chmod(said, 0o666)  # a user can't give it away
    return bundle


def find_bundle(config_file: str) -> str:
    """The bundle that pre-start made for a container, '' where it made none."""
    return next((bundle for bundle in _bundles(config_file) if places.exists(f"{bundle}/{_PLAN}")), "")


def write(
    bundle: str, plan: "dict[str, Any]", config: "dict[str, Any]", rights: "Sequence[str]", calls_hooks: bool
) -> None:
    """Put the plan and the OCI config into the bundle, the plan last.

    rights: the rules for the device cgroup that start-host has to give. calls_hooks: whether it has to run hooks too.
    """
    if rights or calls_hooks:
        _write_text(f"{bundle}/{_START_HOST}", "" if calls_hooks else "".join(f"{rule}\n" for rule in rights))
    write_config(bundle, config)
    _write(f"{bundle}/{_PLAN}", plan)


def write_config(bundle: str, config: "dict[str, Any]") -> None:
    """Replace the OCI config in the bundle."""
    _write(f"{bundle}/{_CONFIG}", config)


def read(bundle: str) -> "dict[str, Any]":
    """The plan. ShimError where it is damaged."""
    return _read(f"{bundle}/{_PLAN}")


def read_config(bundle: str) -> "dict[str, Any]":
    """The OCI config. ShimError where it is damaged."""
    return _read(f"{bundle}/{_CONFIG}")


def say(bundle: str, line: str) -> None:
    """Leave a line for post-stop to log, where this stage may not write to the log itself."""
    try:
        descriptor = posix.open(f"{bundle}/{_SAID}", posix.O_WRONLY | posix.O_APPEND | posix.O_NOFOLLOW)
        posix.write(descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))
        posix.close(descriptor)
    except OSError:
        pass


def said(bundle: str) -> list[str]:
    """The lines that were left, as far as anybody would want to read them."""
    try:
        descriptor = posix.open(f"{bundle}/{_SAID}", posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK)
        text = posix.read(descriptor, 4096).decode("utf-8", "replace")
        posix.close(descriptor)
    except OSError:
        return []
    return [line for line in text.splitlines() if line]


def remove(bundle: str) -> None:
    """Remove a bundle, and the directories above it that are empty then."""
    waiting.release(bundle)
    for name in (_PLAN, _CONFIG, _SAID, _START_HOST, *waiting.NAMES):
        try:
            posix.unlink(f"{bundle}/{name}")
        except OSError:
            pass
    try:
        while bundle.startswith(f"{ROOTS}/") or bundle.endswith("/.cdi-runc"):
            posix.rmdir(bundle)
            bundle = bundle.rpartition("/")[0]
    except OSError:
        pass  # another container's is in it


def _bundles(config_file: str) -> tuple[str, str]:
    return f"{ROOTS}{config_file}", f"{config_file.rpartition('/')[0]}/.cdi-runc"


def _make_directories(path: str) -> None:
    above = path.rpartition("/")[0]
    if above and not places.exists(above):
        _make_directories(above)
    try:
        posix.mkdir(path, 0o755)
        posix.chmod(path, 0o755)  # whatever the umask is
    except FileExistsError:
        found = posix.lstat(path)
        if found.st_uid != posix.geteuid() or found.st_mode & 0o170022 != 0o040000:
            raise ShimError(f"{path} should be your own directory, which nobody else may write to: remove it") from None


def _write(path: str, data: "dict[str, Any]") -> None:
    document = Document("{}")
    document.value = data
    _write_text(path, document.text())


def _write_text(path: str, content: str) -> None:
    text = content.encode("ascii")
    temporary = f"{path}.{posix.getpid()}"
    descriptor = posix.open(temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644)
    posix.fchmod(descriptor, 0o644)
    while text:
        text = text[posix.write(descriptor, text) :]
    posix.close(descriptor)
    posix.rename(temporary, path)


def _read(path: str) -> "dict[str, Any]":
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC)
        data = b""
        while chunk := posix.read(descriptor, 1 << 20):
            data += chunk
        posix.close(descriptor)
        found = Document(data.decode()).value
    except (OSError, ValueError) as error:
        raise ShimError(
            f"{path}: {error}; the container's pre-start hook writes this file, so start the container again"
        ) from None
    if not isinstance(found, dict):
        raise ShimError(f"{path}: not a JSON object; start the container again")
    return found
