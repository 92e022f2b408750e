"""The parts of an OCI config.json that the devices add, for people who make bundles by hand. Nothing is lost."""

from __future__ import annotations

import json

from cdi_runc.render.edits import Edits
from cdi_runc.render.result import Rendered


def render(edits: Edits) -> Rendered:
    """A JSON object of the form of config.json."""
    return Rendered(text=json.dumps(edits.config, indent=2) + "\n")
