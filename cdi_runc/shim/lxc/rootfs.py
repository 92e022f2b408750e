"""Nodes and mounts put into a root file system whose content is the container's, and may be hostile.

Every path is resolved by the kernel inside the root (openat2(2), RESOLVE_IN_ROOT), so that no link leads out of it.
What was resolved is used by its descriptor, never again by its name.
"""

import posix

from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.lxc import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_O_PATH = 0o10000000
_EBUSY = 16

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_RELATIME = 32, 4096, 16384, 1 << 21
# Name of an option: flags that it sets, flags that it clears.
_FLAGS = {
    "ro": (_MS_RDONLY, 0),
    "rw": (0, _MS_RDONLY),
    "nosuid": (_MS_NOSUID, 0),
    "suid": (0, _MS_NOSUID),
    "nodev": (_MS_NODEV, 0),
    "dev": (0, _MS_NODEV),
    "noexec": (_MS_NOEXEC, 0),
    "exec": (0, _MS_NOEXEC),
    "sync": (16, 0),
    "async": (0, 16),
    "dirsync": (128, 0),
    "noatime": (1024, 0),
    "atime": (0, 1024),
    "nodiratime": (2048, 0),
    "diratime": (0, 2048),
    "relatime": (_MS_RELATIME, 0),
    "norelatime": (0, _MS_RELATIME),
    "strictatime": (1 << 24, 0),
}
_PROPAGATION = {"unbindable": 1 << 17, "private": 1 << 18, "slave": 1 << 19, "shared": 1 << 20}
# statvfs(3)'s flags are mount(2)'s, but for this one.
_ST_RELATIME = 4096
# What a mount in a user namespace may not lose (mount_namespaces(7), "Restrictions").
_LOCKED = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC | 1024 | 2048


class Rootfs:
    """The root file system at a path. `mapped`: we are root of a user namespace, which may make no device node."""

    def __init__(self, path: str, mapped: bool) -> None:
        """Raise ShimError where it can't be opened."""
        self.mapped = mapped
        try:
            self._root = posix.open(path, _O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        except OSError as error:
            raise ShimError(f"root file system {path}: {error.strerror}") from None

    def add_node(self, node: "dict[str, Any]") -> None:
        """Make a device node, or bind the host's where we may make none."""
        if self.mapped:
            self.add_mount({"destination": node["path"], "source": node["hostPath"], "options": ["bind"]})
            return
        parent, name = self._parent(node["path"])
        kind = {"c": 0o020000, "b": 0o060000, "p": 0o010000}[node["type"]]
        numbers = posix.makedev(node["major"], node["minor"])
        try:
            _replace(parent, name, kind | node.get("fileMode", 0o666) & 0o7777, numbers)
            posix.chown(name, node.get("uid", 0), node.get("gid", 0), dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise ShimError(f"device node {node['path']} in the container: {error.strerror}") from None
        finally:
            posix.close(parent)

    def add_mount(self, mount: "dict[str, Any]") -> None:
        """Make a mount of an OCI config."""
        options = mount.get("options") or []
        target, source = mount["destination"], mount.get("source") or ""
        bind = bool({"bind", "rbind"} & set(options)) or mount.get("type") in (None, "", "none", "bind")
        flags, data = _flags_of(options, bind)
        try:
            file = bind and posix.stat(source).st_mode & 0o170000 != 0o040000
            place = self._made(target, file)
            if not bind:
                _mount(source, place, mount["type"], flags, data)
            else:
                _mount(source, place, "", _MS_BIND | (_MS_REC if "rbind" in options else 0))
                self._limit(target, flags)
            posix.close(place)
            self._spread(target, options)
        except OSError as error:
            raise ShimError(f"mount {target} of {source or mount.get('type')}: {error.strerror}") from None

    def add_program(self, path: str, text: str) -> None:
        """Put a program into the container, in the place of whatever is there."""
        parent, name = self._parent(path)
        try:
            try:
                posix.unlink(name, dir_fd=parent)
            except FileNotFoundError:
                pass
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
            descriptor = posix.open(name, flags, 0o700, dir_fd=parent)
            posix.fchmod(descriptor, 0o755)
            posix.write(descriptor, text.encode("utf-8", "surrogateescape"))
            posix.close(descriptor)
        except OSError as error:
            raise ShimError(f"{path} in the container: {error.strerror}") from None
        finally:
            posix.close(parent)

    def _limit(self, target: str, flags: int) -> None:
        """Give a bind mount its flags, which the kernel takes only by a second call."""
        place = self._open(target)
        found = posix.statvfs(place).f_flag
        kept = found & _LOCKED if self.mapped else 0
        kept |= _MS_RELATIME if found & _ST_RELATIME and not flags & 1024 else 0
        if flags | kept & _LOCKED:
            _mount("", place, "", _MS_REMOUNT | _MS_BIND | flags | kept)
        posix.close(place)

    def _spread(self, target: str, options: "list[str]") -> None:
        for option in options:
            if flag := _PROPAGATION.get(option.removeprefix("r")):
                place = self._open(target)
                _mount("", place, "", flag | (_MS_REC if option.startswith("r") else 0))
                posix.close(place)

    def _parent(self, path: str) -> tuple[int, str]:
        """A descriptor of the directory that a path's last part is in, made where it is missing, and that part."""
        above, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise ShimError(f"{path} cannot be the path of a device node")
        return self._made(above or "/", False), name

    def _made(self, path: str, file: bool) -> int:
        """A descriptor of what is at a path, made where it is missing: a directory, or a file."""
        try:
            return self._open(path)
        except FileNotFoundError:
            pass
        above, _, name = path.rstrip("/").rpartition("/")
        parent = self._made(above or "/", False)
        try:
            if file:
                flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
                posix.close(posix.open(name, flags, 0o644, dir_fd=parent))
            else:
                posix.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            # It was not there for us: a link that leads nowhere.
            raise ShimError(f"{path} in the container is a link that leads nowhere: remove it") from None
        finally:
            posix.close(parent)
        return self._open(path)

    def _open(self, path: str) -> int:
        return syscalls.open_in_root(self._root, path, _O_PATH | posix.O_CLOEXEC)


def _replace(parent: int, name: str, mode: int, numbers: int) -> None:
    """Put a node in the place of whatever is there; one that LXC has bound there itself stays if it is the same."""
    try:
        posix.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except OSError as error:
        found = posix.stat(name, dir_fd=parent, follow_symlinks=False)
        if error.errno == _EBUSY and (found.st_mode ^ mode) & 0o170000 == 0 and found.st_rdev == numbers:
            return
        raise
    before = posix.umask(0)
    try:
        posix.mknod(name, mode, numbers, dir_fd=parent)
    finally:
        posix.umask(before)


def _flags_of(options: "list[str]", bind: bool) -> tuple[int, str]:
    """The flags of a mount, and the data for the file system: what is no flag, and what a bind mount has not."""
    flags, data = 0, []
    for option in options:
        if option in _FLAGS:
            sets, clears = _FLAGS[option]
            flags = flags & ~clears | sets
        elif option not in ("bind", "rbind", "defaults") and option.removeprefix("r") not in _PROPAGATION and not bind:
            data.append(option)
    return flags, ",".join(data)


def _mount(source: str, place: int, type_: str, flags: int, data: str = "") -> None:
    syscalls.mount(source, f"/proc/self/fd/{place}", type_, flags, data)
