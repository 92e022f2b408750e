"""A container's LXC config as far as it matters here (lxc.container.conf(5)): variables, id map, groups, interfaces."""

import posix

# LXC itself has no limit. A file that includes itself must end somewhere.
_DEPTH = 16


class LxcConfig:
    """What a config file, with all that it includes, says.

    environment: the variables, of which a later one wins. repeated: the names that were given more than once. mapped:
    whether ids are mapped, so that the container has a user namespace; root: the host's id of its root then.
    includes: the files and directories that it includes, whether or not they are there.
    """

    __slots__ = (
        "environment",
        "groups",
        "includes",
        "interfaces",
        "mapped",
        "repeated",
        "rights",
        "root",
        "start_hooks",
    )

    def __init__(self, path: str) -> None:
        """Read the file; OSError where it can't be read. Of an included file that is missing, LXC itself complains."""
        self.environment: dict[str, str] = {}
        self.repeated: set[str] = set()
        self.groups: set[str] = set()
        self.includes: set[str] = set()
        self.interfaces: set[str] = set()
        self.rights: set[str] = set()
        self.start_hooks: list[str] = []
        self.mapped, self.root = False, 0
        self._read(path, 0)

    def _read(self, path: str, depth: int) -> None:
        for line in _text(path).splitlines():
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals and not key.startswith("#"):
                self._take(key, _unquoted(value), depth)

    def _take(self, key: str, value: str, depth: int) -> None:
        if key == "lxc.include" and depth < _DEPTH:
            self._include(value, depth)
        elif key == "lxc.environment":
            self._take_variable(value)
        elif key == "lxc.idmap":
            self._take_id_map(value)
        elif key == "lxc.init.groups":
            self.groups |= {group.strip() for group in value.split(",")}
        elif key == "lxc.hook.start":
            self.start_hooks.append(value)
        elif key == "lxc.cgroup2.devices.allow":
            self.rights.add(value)
        elif key.startswith("lxc.net.") and key.endswith(".link"):
            self.interfaces.add(value)

    def _take_variable(self, value: str) -> None:
        name, _, content = value.partition("=")
        if not value:
            self.environment.clear()
            return
        if name in self.environment:
            self.repeated.add(name)
        self.environment[name] = content

    def _take_id_map(self, value: str) -> None:
        words = value.split()
        self.mapped = bool(words)
        if len(words) == 4 and words[0] in ("u", "b") and words[1] == "0" and words[2].isdecimal():
            self.root = int(words[2])

    def _include(self, path: str, depth: int) -> None:
        self.includes.add(path.rstrip("/"))
        try:
            names = [f"{path}/{name}" for name in sorted(posix.listdir(path)) if name.endswith(".conf")]
        except NotADirectoryError:
            names = [path]
        except OSError:
            return
        for name in names:
            try:
                self._read(name, depth + 1)
            except OSError:
                pass


def _unquoted(value: str) -> str:
    """LXC takes one pair of quotes from around a value."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _text(path: str) -> str:
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    try:
        data = b""
        while chunk := posix.read(descriptor, 1 << 16):
            data += chunk
        return data.decode("utf-8", "surrogateescape")
    finally:
        posix.close(descriptor)
