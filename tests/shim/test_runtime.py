"""Which runtime is executed, and what is said where there is none."""

import pytest

from cdi_runc.shim import runtime
from cdi_runc.shim.errors import RuntimeMissing


@pytest.mark.parametrize(
    ("wanted", "called", "words"),
    [
        ("runc", "/usr/bin/cdi-runc", "no runtime 'runc' on PATH: install it, or give its path in "),
        (
            "special",
            "/usr/local/bin/special",
            r"no runtime 'special' on PATH \(the command's own name decides: cdi-NAME runs NAME, and this one is called"
            r" special\): install it",
        ),
        ("kata", "/opt/cdi-kata", r"no runtime 'kata' on PATH \(the command's own name decides.*is called cdi-kata\)"),
    ],
)
def test_a_missing_runtime_is_said_with_why_it_is_this_one(wanted: str, called: str, words: str) -> None:
    with pytest.raises(RuntimeMissing, match=f"^{words}"):
        runtime.find(wanted, called, {b"PATH": b"/nonexistent"})
