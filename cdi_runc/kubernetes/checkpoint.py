"""Which claims are prepared on this node: a file that outlives us, and is void after a reboot.

Several instances may share it, one at a time (see turn.py). It is written whole, to the disk, and by a rename. Fields
that a later version adds are kept out of the way: what is unknown is not looked at.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = 1
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Corrupt(ValueError):
    """The file cannot be understood."""


@dataclass(frozen=True)
class Given:
    """A device that a claim has: its name in the slices, what the engine calls it, and what it is made of.

    `requests` are the claim's names for it. `share` is the ID of a share of it, `admin` whether it is only looked at:
    either may go with others.
    """

    device: str
    names: tuple[str, ...]
    parts: tuple[str, ...]
    requests: tuple[str, ...] = ()
    share: str = ""
    admin: bool = False


@dataclass(frozen=True)
class Prepared:
    """A claim that is prepared."""

    namespace: str
    name: str
    devices: tuple[Given, ...] = ()


@dataclass
class Checkpoint:
    """The prepared claims by their UID."""

    path: str
    boot: str
    claims: dict[str, Prepared] = field(default_factory=dict)

    def write(self) -> None:
        """Write it to the disk. Raises OSError."""
        claims = {
            uid: {"namespace": claim.namespace, "name": claim.name, "devices": list(map(vars, claim.devices))}
            for uid, claim in self.claims.items()
        }
        text = json.dumps({"version": VERSION, "boot": self.boot, "claims": claims}, separators=(",", ":"))
        os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
        new = f"{self.path}.new"
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)


def boot_id() -> str:
    """What tells this run of the kernel from all others."""
    with open(BOOT_ID, encoding="ascii") as file:
        return file.read().strip()


def read(path: str, boot: str) -> Checkpoint:
    """The checkpoint, empty where there is none, or one from before a reboot. Raises Corrupt and OSError."""
    try:
        with open(path, encoding="utf-8") as file:
            data: Any = json.load(file)
        if data["boot"] != boot:
            return Checkpoint(path, boot)
        return Checkpoint(path, boot, {uid: _prepared(entry) for uid, entry in data["claims"].items()})
    except FileNotFoundError:
        return Checkpoint(path, boot)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(f"{path}: cannot be understood: {error!r}") from None


def set_aside(path: str) -> str:
    """Move a corrupt file out of the way, for people to look at; where it is then. Raises OSError."""
    aside = f"{path}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    os.replace(path, aside)
    return aside


def _prepared(entry: Mapping[str, Any]) -> Prepared:
    return Prepared(str(entry["namespace"]), str(entry["name"]), tuple(map(_given, entry["devices"])))


def _given(entry: Mapping[str, Any]) -> Given:
    lists = {key: tuple(map(str, entry[key])) for key in ("names", "parts", "requests")}
    return Given(device=str(entry["device"]), share=str(entry["share"]), admin=bool(entry["admin"]), **lists)
