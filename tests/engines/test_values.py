"""Values in a config file: put in, and taken out again whatever has become of the file since."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdi_runc.engines import values
from cdi_runc.engines.engine import FilePlan, Put, Value

RUNTIMES = ("cri", "runtimes")
RUNC: dict[str, Value] = {"runtime_type": "io.containerd.runc.v2"}
OURS: dict[str, Value] = {"options": {"BinaryName": "/usr/bin/cdi-runc"}}

# As for containerd 1.x: the built-in runc, which a `runtimes` table would hide, and our handler beside it.
PLAN = FilePlan(
    "config.toml", "toml", (Put((*RUNTIMES, "runc"), RUNC, "if-absent"), Put((*RUNTIMES, "cdi-runc"), OURS))
)
BEFORE = "version = 2\n"


def enabled() -> tuple[str, list[values.Undo]]:
    return values.apply(PLAN, BEFORE)


def test_what_was_put_in_for_the_sake_of_others_goes_with_ours() -> None:
    text, undos = enabled()
    assert values.take_out("toml", text, undos) == BEFORE


LATER = {
    "another handler": lambda text: text + '\n[cri.runtimes.kata]\n  runtime_type = "kata"\n',
    "an option of runc": lambda text: text.replace('runc.v2"\n', 'runc.v2"\n  SystemdCgroup = true\n', 1),
}


@pytest.mark.parametrize("change", LATER.values(), ids=LATER)
def test_what_was_put_in_for_the_sake_of_others_stays_if_they_need_it(change: Callable[[str], str]) -> None:
    text, undos = enabled()
    changed = change(text)
    rest = values.parse("toml", values.take_out("toml", changed, undos))
    wanted = values.parse("toml", changed)
    assert isinstance(wanted["cri"], dict)
    del wanted["cri"]["runtimes"]["cdi-runc"]
    assert rest == wanted


def test_a_tool_that_writes_the_file_anew_changes_nothing_of_that() -> None:
    _, undos = enabled()
    rewritten = (
        '[cri]\n[cri.runtimes]\n[cri.runtimes.cdi-runc.options]\nBinaryName="/usr/bin/cdi-runc"\n'
        '[cri.runtimes.nvidia]\na=1\n[cri.runtimes.runc]\nruntime_type="io.containerd.runc.v2"\n'
    )
    rest = values.take_out("toml", rewritten, undos)
    assert values.parse("toml", rest) == {"cri": {"runtimes": {"nvidia": {"a": 1}, "runc": RUNC}}}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("syntax", "text"),
    [("json", '{\n  "a": 1\n}\n'), ("json", "{}"), ("toml", "# c\na = 1\n"), ("toml", "")],
)
def test_byte_order_mark_and_line_ends_stay(syntax: str, text: str, end: str) -> None:
    before = "\ufeff" + text.replace("\n", end)
    plan = FilePlan("x", syntax, (Put(("r", "cdi-runc"), {"path": "/x"}),))  # type: ignore[arg-type]
    after, undos = values.apply(plan, before)
    assert after.startswith("\ufeff")
    assert end not in text or "\n" not in after.replace("\r\n", "") or end == "\n"
    assert values.parse(syntax, after)["r"] == {"cdi-runc": {"path": "/x"}}
    assert values.parse(syntax, values.take_out(syntax, after, undos)) == values.parse(syntax, before)


def test_a_block_of_text_is_found_though_its_line_ends_have_been_turned() -> None:
    plan = FilePlan("x.tmpl", "text", (Put((), "\n[ours]\na = 1\n"),))
    after, undos = values.apply(plan, "{{ base }}\n")
    assert values.take_out("text", after.replace("\n", "\r\n"), undos) == "{{ base }}\r\n"


@pytest.mark.parametrize("before", ["[cri.runtimes.runc]\na = 1\n", "[cri]\n[cri.runtimes.runc]\na = 1\n"])
def test_a_header_line_goes_if_it_came_for_our_value(before: str) -> None:
    plan = FilePlan("x", "toml", (Put(("cri", "default_runtime_name"), "cdi-runc"),))
    after, undos = values.apply(plan, before)
    assert values.take_out("toml", after + "# later\n", undos) == before + "# later\n"
