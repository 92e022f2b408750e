"""The subsystems whose events change devices, and rules for udev that react to them: both follow from the recipes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cdi_runc.generate.recipe import Recipe

# One command, `systemctl enable`, makes this link, and so turns the rules on.
SWITCH = "/etc/systemd/system/multi-user.target.wants/cdi-runc-generate.service"
UNIT = "cdi-runc-generate-changed.service"

# Each container of an engine has an interface that comes and goes. It has no driver, so it is not one of our devices.
_NET = (
    ("net", "*", ', ACTION!="remove", DRIVERS=="?*"'),
    ("net", "*", ', ACTION!="remove", ATTR{type}=="280"'),
    ("net", "*can*", ""),  # of one that is gone only the name is known
)

_CLASS = re.compile(r"/sys/class/([^/*?\[]+)/([^/]+)")
_DRIVER = re.compile(r"/sys/bus/([^/*?\[]+)/drivers/")
_BUS = re.compile(r"/sys/bus/([^/*?\[]+)/devices/([^/]+)")
_VIRTUAL = re.compile(r"/sys/devices/(?:virtual|platform)/(?:([^/*?\[]+)/)?([^/]+)")


def subsystems(recipes: Iterable[Recipe]) -> set[str]:
    """The names of the subsystems."""
    return {name for recipe in recipes for name, _, _ in _events(recipe)}


def rules(recipes: Iterable[Recipe]) -> str:
    """The text of a file of udev rules. Without the service's link in /etc it does nothing."""
    lines = {
        f'SUBSYSTEM=="{name}"{test}, {f"""KERNEL=="{kernel}", """ if kernel != "*" else ""}GOTO="cdi_runc_changed"'
        for recipe in recipes
        for name, kernel, test in _events(recipe)
    }
    return "\n".join(
        [
            "# Made by `cdictl recipes udev-rules` from the recipes of cdictl generate.",
            "# Off until `systemctl enable cdi-runc-generate.service`.",
            f'TEST!="{SWITCH}", GOTO="cdi_runc_end"',
            'ACTION=="change", GOTO="cdi_runc_end"',
            *sorted(lines),
            'GOTO="cdi_runc_end"',
            'LABEL="cdi_runc_changed"',
            # A unit that is under way starts again, so that it sees the last of many changes.
            f'RUN+="/bin/systemctl --no-block restart {UNIT}"',
            'LABEL="cdi_runc_end"',
            "",
        ]
    )


def _events(recipe: Recipe) -> Iterable[tuple[str, str, str]]:
    """Subsystem, glob of the kernel's name, and another test, of the events about a recipe's devices."""
    for glob in recipe.match.globs:
        if glob.startswith("/sys/class/net/"):
            yield from _NET
        elif found := _CLASS.match(glob) or _BUS.match(glob):
            # udev writes a name with `/` where sysfs has `!`.
            yield found[1], found[2].replace("!", "/"), ""
        elif found := _DRIVER.match(glob):
            yield found[1], "*", ', ACTION=="bind|unbind"'
        elif found := _VIRTUAL.match(glob):
            yield found[1] or "platform", found[2], ""
    for name in recipe.subsystems:
        yield name, "*", ""
