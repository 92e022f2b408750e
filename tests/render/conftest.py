"""Edits to be rendered, without a spec file."""

from collections.abc import Callable
from typing import Any

import pytest

from cdi_runc.render import Edits, edits_of

MakeEdits = Callable[..., Edits]


@pytest.fixture
def edits() -> MakeEdits:
    """Makes the edits of one device, vendor.com/gpu=0, from its fields in a spec."""

    def make(**fields: Any) -> Edits:
        return edits_of(["vendor.com/gpu=0"], [("vendor.com/gpu=0", fields)])  # type: ignore[list-item]

    return make
