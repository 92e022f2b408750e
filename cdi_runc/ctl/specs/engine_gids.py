"""Whether the engines of this host can read a spec with additionalGids, which came with CDI 0.7.0.

An engine that cannot refuses the whole file, and says only that the device is unresolvable.
"""

from __future__ import annotations

from cdi_runc.ctl.specs.check.releases import RELEASES, newest_known
from cdi_runc.engines import NAMES, engine
from cdi_runc.engines.engine import EngineError

_NEEDED = (0, 7, 0)


def engines_take_gids() -> bool:
    """Whether no engine here would refuse it. An engine without CDI of its own gets its devices from cdi-runc."""
    for name in NAMES:
        if name not in RELEASES:
            continue
        try:
            found = engine(name).find(None)
        except EngineError:
            continue
        known = newest_known(name, found.version) if found.version else None
        if known is not None and tuple(map(int, known.split("."))) < _NEEDED:
            return False
    return True
