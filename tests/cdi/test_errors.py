"""What errors say, and that they survive a pickle (worker processes send them)."""

from __future__ import annotations

import pickle

import pytest

from cdi_runc.cdi.errors import CDIError, InjectionError, InvalidName, InvalidSpec, Problem, UnresolvableDevices

KIND = Problem("kind", "is missing", 3, 5)
NAME = Problem("devices[0].name", "is missing")
WHOLE = Problem("", "is empty")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidSpec([KIND], "/etc/cdi/a.yaml"), "/etc/cdi/a.yaml:3:5: kind: is missing"),
        (InvalidSpec([KIND, NAME, WHOLE]), "line 3: kind: is missing (and 2 more)"),
        (InvalidSpec([NAME], "a.yaml"), "a.yaml: devices[0].name: is missing"),
        (InvalidSpec([WHOLE]), "is empty"),
        (UnresolvableDevices(["a", "b", "a"]), "unresolvable CDI devices a, b, a"),
        (UnresolvableDevices(["v.com/c=1"]), "unresolvable CDI device v.com/c=1"),
    ],
)
def test_text(error: CDIError, text: str) -> None:
    assert str(error) == text
    assert str(pickle.loads(pickle.dumps(error))) == text


@pytest.mark.parametrize("kind", [InvalidName, InvalidSpec, UnresolvableDevices, InjectionError])
def test_all_are_value_errors(kind: type) -> None:
    assert issubclass(kind, CDIError)
    assert issubclass(kind, ValueError)
