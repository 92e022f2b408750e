from __future__ import annotations

from tests.inventory.conftest import host

__all__ = ["host"]
