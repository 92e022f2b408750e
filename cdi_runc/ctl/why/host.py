"""The host that doctor's checks look at."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from cdi_runc.ctl.options import Options
from cdi_runc.engines import journal, records
from cdi_runc.engines.engine import EngineError
from cdi_runc.host import settings, trust
from cdi_runc.host.known import SpecFiles


class Host:
    """This host, as cdictl was asked to look at it. What several checks need is found out once."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What cdi-runc is set to, `fault` among it."""
        found = settings.read(self.options.config_path)
        return found | {"spec-dirs": list(self.options.spec_dirs or found["spec-dirs"])}

    @cached_property
    def files(self) -> SpecFiles:
        """What the spec files say."""
        return SpecFiles(trust.registry(self.settings), self.settings, self.options.config_path)

    @cached_property
    def registrations(self) -> list[records.Registration]:
        """What `cdictl engine enable` did here; nothing if the record of it is damaged."""
        try:
            return records.registrations(journal.state_directory())
        except EngineError:
            return []
