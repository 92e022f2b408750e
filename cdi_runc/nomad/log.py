"""Lines for the agent's log: JSON on standard error, so that each keeps its level (hashicorp/go-hclog)."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from typing import Literal

Level = Literal["info", "warn", "error"]


def log(level: Level, message: str) -> None:
    """Write one line. Nothing happens where nobody reads any more."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    line = json.dumps({"@level": level, "@message": message, "@module": "cdi-nomad", "@timestamp": now})
    try:
        os.write(2, f"{line}\n".encode())
    except OSError:
        pass
