"""HOT. From the names that are asked for to the edits that are to be made.

Knows devices only through a function that finds them, so that the registry and the shim's snapshot serve alike.
"""

from cdi_runc.cdi.errors import UnresolvableDevices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cdi_runc.cdi.types import ContainerEdits

    Found = tuple[str, ContainerEdits, ContainerEdits]  # path of the spec file, its own edits, the device's edits
    Group = tuple[str, ContainerEdits]  # provenance (path of the spec file or name of the device) and edits


def resolve(names: "Iterable[str]", find: "Callable[[str], Found | None]") -> "list[Group]":
    """The groups of edits of the named devices, in the order in which they are to be applied.

    A spec file's own edits come once, just before its first device; a device asked for twice comes twice. Raises
    UnresolvableDevices with every name that `find` does not know.

    >>> resolve(["v.com/gpu=0"], {"v.com/gpu=0": ("/etc/cdi/v.yaml", {"env": ["A=1"]}, {"env": ["B=2"]})}.get)
    [('/etc/cdi/v.yaml', {'env': ['A=1']}), ('v.com/gpu=0', {'env': ['B=2']})]
    """
    groups: list[Group] = []
    missing = []
    files = set()
    for name in names:
        found = find(name)
        if found is None:
            missing.append(name)
            continue
        path, spec_edits, device_edits = found
        if path not in files:
            files.add(path)
            groups.append((path, spec_edits))
        groups.append((name, device_edits))
    if missing:
        raise UnresolvableDevices(missing)
    return groups
