"""The shapes of a CDI spec as plain dicts, each field under the version of the standard that added it.

For type checkers and readers only: nothing in it does anything at run time. A spec that `parse_spec` gave has just
these fields, in this spelling; what was null or not given is not there. What the values may be is in schema.json.
"""

from __future__ import annotations

from typing import TypedDict


class _MountRequired(TypedDict):
    hostPath: str
    containerPath: str


class Mount(_MountRequired, total=False):
    """A bind mount or any other, from the host into the container."""

    options: list[str]

    # 0.4.0
    type: str


class _DeviceNodeRequired(TypedDict):
    path: str


class DeviceNode(_DeviceNodeRequired, total=False):
    """A device node to make in the container, and to allow in its cgroup."""

    type: str
    major: int
    minor: int
    fileMode: int
    permissions: str
    uid: int
    gid: int

    # 0.5.0
    hostPath: str


class _HookRequired(TypedDict):
    hookName: str
    path: str


class Hook(_HookRequired, total=False):
    """A program that the runtime is to run at one point of the container's life."""

    args: list[str]
    env: list[str]
    timeout: int


class IntelRdt(TypedDict, total=False):
    """The class of service for Intel's Resource Director Technology (resctrl)."""

    # 0.7.0
    closID: str
    l3CacheSchema: str
    memBwSchema: str

    # 1.1.0
    schemata: list[str]
    enableMonitoring: bool


class LinuxNetDevice(TypedDict):
    """A network interface to move from the host into the container."""

    # 1.1.0
    hostInterfaceName: str
    name: str


class ContainerEdits(TypedDict, total=False):
    """All that a device, or a spec, changes in a container."""

    env: list[str]
    deviceNodes: list[DeviceNode]
    mounts: list[Mount]
    hooks: list[Hook]

    # 0.7.0
    intelRdt: IntelRdt
    additionalGids: list[int]

    # 1.1.0
    netDevices: list[LinuxNetDevice]


class _DeviceRequired(TypedDict):
    name: str


class Device(_DeviceRequired, total=False):
    """One device of the spec's kind."""

    containerEdits: ContainerEdits

    # 0.6.0
    annotations: dict[str, str]


class _SpecRequired(TypedDict):
    cdiVersion: str
    kind: str
    devices: list[Device]


class Spec(_SpecRequired, total=False):
    """A spec file's content."""

    containerEdits: ContainerEdits

    # 0.6.0
    annotations: dict[str, str]
