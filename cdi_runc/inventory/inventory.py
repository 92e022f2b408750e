"""The inventory of a node: what there is to hand out.

Who offers the devices gets a whole inventory each time, and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cdi_runc.inventory.topology import NOWHERE, Place

REPLICAS = "cdi-runc/replicas"  # annotations of a spec or a device: how many may have it at a time,
SERVE = "cdi-runc/serve"  # and how it is offered: "false" for not at all, or one of these for no other way
DEVICE_PLUGIN, DRA = "device-plugin", "dra"
WITHOUT_HARDWARE = 100  # how many may have a device that is no hardware, as far as the spec says
MAX_REPLICAS = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """A device that can be handed out; `fault` says why it cannot be at the moment.

    `gone` is whether none of its device nodes is there: the hardware is unplugged, not merely unusable.
    `aliases` are its other names in the same kind. `parts` are the names of the devices that it is made of: those
    cannot be had while it is in use, nor it while one of them is. `shares` is how many may have it at a time.
    """

    kind: str
    name: str
    path: str
    version: str
    fault: str = ""
    gone: bool = False
    place: Place = NOWHERE
    shares: int = 1
    aliases: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def qualified(self) -> str:
        """The name by which an engine is asked for it."""
        return f"{self.kind}={self.name}"

    def is_offered(self, way: str) -> bool:
        """Whether it is offered that way, since nobody has said that it is only another."""
        return self.annotations.get(SERVE, "true") in ("true", way)


@dataclass(frozen=True)
class Inventory:
    """All items by kind and name, in natural order, and what is wrong with files, by path."""

    kinds: Mapping[str, Mapping[str, Item]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def find(self, qualified: str) -> Item | None:
        """The item of that qualified name, or with that alias; None if there is none."""
        kind, _, name = qualified.partition("=")
        items = self.kinds.get(kind, {})
        return items.get(name) or next((item for item in items.values() if name in item.aliases), None)

    def __iter__(self) -> Iterator[Item]:
        return (item for items in self.kinds.values() for item in items.values())

    def __len__(self) -> int:
        return sum(map(len, self.kinds.values()))
