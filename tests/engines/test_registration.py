import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cdi_runc.engines import processes, records, registration
from cdi_runc.engines.engine import EngineError, FilePlan, NewRuntime, Put
from tests.engines.conftest import Notebook
from tests.processes import ending

SHIM, CRUN = "/usr/bin/cdi-runc", "/usr/bin/cdi-crun"


class Host:
    """A config file, a journal, and the two commands over them."""

    def __init__(self, folder: Path, engine: Notebook) -> None:
        self.config, self.state, self.engine = folder / "notebook.json", str(folder / "state"), engine

    def enable(self, new: NewRuntime | None = None, **how: Any) -> registration.Outcome:
        found = self.engine.find(str(self.config))
        new = new or NewRuntime(path=SHIM)
        return registration.enable(self.engine, found, new, how.pop("scripts", ()), directory=self.state, **how)

    def disable(self, runtime: str = "cdi-runc", **how: Any) -> registration.Outcome:
        found = self.engine.find(str(self.config))
        record = next(r for r in records.registrations(self.state) if r["runtime"] == runtime)
        return registration.disable(self.engine, found, record, directory=self.state, **how)

    def says(self) -> dict[str, Any]:
        says: dict[str, Any] = json.loads(self.config.read_text())
        return says


@pytest.fixture
def host(tmp_path: Path, notebook: Notebook) -> Host:
    return Host(tmp_path, notebook)


BEFORE = [
    "{}",
    '{\n  "log": "x",   "runtimes": {"foo": {"path": "/foo"}},\n\n  "default": "foo"\n}\n',
    '{"runtimes":{}}',
    "",
    None,
]


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("before", BEFORE)
def test_disable_gives_the_file_back_byte_for_byte(host: Host, before: str | None, default: bool) -> None:
    if before is not None:
        host.config.write_text(before)
    host.enable(NewRuntime(path=SHIM, default=default))
    assert host.says()["runtimes"]["cdi-runc"] == {"path": SHIM}
    assert (host.says().get("default") == "cdi-runc") is default
    host.disable()
    assert (host.config.read_text() if host.config.exists() else None) == before
    assert records.registrations(host.state) == []


@pytest.mark.parametrize("before", ["{}", '{"runtimes": {"foo": {"path": "/foo"}}, "default": "foo"}'])
def test_disable_takes_out_just_ours_from_a_file_changed_since(host: Host, before: str) -> None:
    host.config.write_text(before)
    host.enable(NewRuntime(path=SHIM, default=True))
    host.config.write_text(json.dumps({**host.says(), "debug": True}))
    host.disable()
    assert host.says() == {**json.loads(before), "debug": True}


def test_a_default_that_someone_has_set_since_stays(host: Host) -> None:
    host.config.write_text('{"runtimes": {"foo": {"path": "/foo"}}}')
    host.enable(NewRuntime(path=SHIM, default=True))
    host.config.write_text(json.dumps({**host.says(), "default": "foo"}))
    host.disable()
    assert host.says() == {"runtimes": {"foo": {"path": "/foo"}}, "default": "foo"}


def test_twice_is_once(host: Host) -> None:
    host.config.write_text("{}")
    assert host.enable().changes
    once = host.config.read_text()
    assert not host.enable().changes
    assert host.config.read_text() == once
    assert len(records.registrations(host.state)) == 1


def test_enabling_again_otherwise_replaces_and_still_goes_back_to_the_start(host: Host) -> None:
    host.config.write_text('{ "default": "runc" }')
    host.enable(NewRuntime(path=SHIM, default=True))
    host.enable(NewRuntime(path=CRUN))
    assert host.says() == {"default": "runc", "runtimes": {"cdi-runc": {"path": CRUN}}}
    host.disable()
    assert host.config.read_text() == '{ "default": "runc" }'


@pytest.mark.parametrize("order", [("cdi-runc", "cdi-crun"), ("cdi-crun", "cdi-runc")])
def test_two_names_go_in_any_order(host: Host, order: tuple[str, str]) -> None:
    host.config.write_text('{\n  "debug": true\n}\n')
    host.enable(NewRuntime(path=SHIM, default=True))
    host.enable(NewRuntime("cdi-crun", CRUN, "crun", default=True))
    host.disable(order[0])
    assert list(host.says()["runtimes"]) == [order[1]]
    assert host.says()["default"] == order[1]
    host.disable(order[1])
    assert host.config.read_text() == '{\n  "debug": true\n}\n'


def test_a_dry_run_shows_a_diff_and_writes_nothing(host: Host) -> None:
    host.config.write_text('{"a": 1}')
    diff = host.enable(dry_run=True).diff()
    assert diff.startswith(f"--- {host.config}\n+++ {host.config}\n")
    assert '+{"a": 1, "runtimes": {"cdi-runc": {"path": "/usr/bin/cdi-runc"}}}\n' in diff
    assert host.config.read_text() == '{"a": 1}'
    assert not os.path.exists(host.state)


@pytest.mark.parametrize(
    ("before", "new", "words"),
    [
        ('{"runtimes": {"cdi-runc": {"path": "/other"}}}', NewRuntime(path=SHIM), "cdi-runc is taken by /other"),
        ("{}", NewRuntime("runc", SHIM), "runc is taken by runc"),
        ('{"a": 1,,}', NewRuntime(path=SHIM), r"notebook.json: line 1, column \d+: "),
        ('{"runtimes": {}, "x": {"\n', NewRuntime(path=SHIM), r"notebook.json: line 1, column \d+: "),
    ],
)
def test_what_can_not_be_done_is_said_and_nothing_written(host: Host, before: str, new: NewRuntime, words: str) -> None:
    host.config.write_text(before)
    with pytest.raises(EngineError, match=words):
        host.enable(new)
    assert host.config.read_text() == before
    assert records.registrations(host.state) == []


def test_force_takes_a_name_and_disable_gives_it_back(host: Host) -> None:
    before = '{"runtimes": {"cdi-runc": {"path": "/other"}}}'
    host.config.write_text(before)
    host.enable(force=True)
    assert host.says()["runtimes"]["cdi-runc"] == {"path": SHIM}
    host.disable()
    assert host.config.read_text() == before


def test_what_stood_there_already_is_not_ours_to_take_out(host: Host) -> None:
    before = '{"runtimes": {"cdi-runc": {"path": "/usr/bin/cdi-runc"}}}'
    host.config.write_text(before)
    host.enable()
    host.disable()
    assert host.config.read_text() == before


def test_an_engine_that_refuses_gets_its_file_back_and_has_the_word(host: Host) -> None:
    host.config.write_text("{ }")
    host.engine.refuses = "cdi-runc"
    with pytest.raises(EngineError, match=r"^notebook: I want no cdi-runc \(nothing was changed\)$"):
        host.enable()
    assert host.config.read_text() == "{ }"
    assert records.registrations(host.state) == []


def test_scripts_come_and_go_with_it(host: Host, tmp_path: Path) -> None:
    script = FilePlan(str(tmp_path / "bin/x"), "text", (Put((), "#!/bin/sh\n"),), mode=0o755)
    host.enable(scripts=[script])
    assert os.access(tmp_path / "bin/x", os.X_OK)
    host.disable()
    assert not (tmp_path / "bin").exists()


def test_an_engine_that_is_gone_is_no_hindrance(host: Host) -> None:
    host.config.write_text("{}")
    host.enable()
    record = records.registrations(host.state)[0]
    registration.disable(host.engine, None, record, directory=host.state)
    assert host.config.read_text() == "{}"


@pytest.mark.parametrize(
    ("running", "parting", "reloads"),
    [
        (False, (), []),
        (True, (), ["{ }"]),
        (True, (Put(("runtimes",), {}, "if-absent"), Put(("default",), "runc", "if-absent")), ["outright", "{ }"]),
    ],
)
def test_a_running_engine_is_made_to_forget(
    host: Host, running: bool, parting: tuple[Put, ...], reloads: list[str]
) -> None:
    host.config.write_text("{ }")
    host.enable(NewRuntime(path=SHIM, default=True))
    host.engine.running, host.engine.TO_FORGET = running, parting
    host.disable(reload=True)
    outright = '{\n    "runtimes": {},\n    "default": "runc"\n}'
    assert host.engine.reloads == [outright if text == "outright" else text for text in reloads]
    assert host.config.read_text() == "{ }"


@pytest.mark.parametrize(
    ("running", "first", "reloads"), [(True, False, [1, 1]), (True, True, [1, 1]), (False, True, [0, 0])]
)
def test_a_running_engine_is_told_once(host: Host, running: bool, first: bool, reloads: list[int]) -> None:
    host.config.write_text("{}")
    host.engine.running = running
    host.enable(reload=first)
    told = []
    for _ in range(2):
        host.enable(reload=True)
        told.append(len(host.engine.reloads))
    assert told == reloads


def test_who_dies_in_between_can_disable_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.config.write_text("{ }")
    host.enable()
    host.engine.running, host.engine.TO_FORGET = True, (Put(("runtimes",), {}, "if-absent"),)
    with monkeypatch.context() as patched:
        patched.setattr(registration, "_commit", lambda *_, **__: pytest.fail("dead"))
        with pytest.raises(pytest.fail.Exception):
            host.disable(reload=True)
    assert host.says() == {"runtimes": {}}
    host.disable()
    assert host.config.read_text() == "{ }"


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Starts a process that looks like conmon over a container of that runtime."""
    started = ExitStack()
    script = tmp_path / "script"
    script.write_text("read wait\n")

    def start(runtime: str) -> None:
        argv = ["conmon", str(script), "-c", "0123456789abcdef", "-r", runtime, "-b", "/bundle"]
        process = subprocess.Popen(argv, executable="/bin/sh", stdin=subprocess.PIPE)
        started.enter_context(ending(process))
        while not processes.argv_of(process.pid):
            pass  # the kernel shows no arguments until the new program is in place

    with started:
        yield start


def test_a_runtime_in_use_is_kept_unless_forced(host: Host, container: Callable[[str], None]) -> None:
    host.config.write_text("{}")
    host.enable(NewRuntime(path="/usr/bin/cdi-runc-of-this-test"))
    container("/usr/bin/cdi-runc-of-this-test")
    with pytest.raises(EngineError, match=r"running containers use cdi-runc \(0123456789ab\): stop them, or --force"):
        host.disable()
    host.disable(force=True)
    assert host.config.read_text() == "{}"


def test_a_runtime_that_pods_still_need_is_kept_unless_forced(host: Host) -> None:
    host.config.write_text("{}")
    host.enable()
    host.engine.keeps = {"cdi-runc": ["0123456789ab"]}
    with pytest.raises(EngineError, match=r"notebook has pods of cdi-runc \(0123456789ab\), which it could not"):
        host.disable()
    host.disable(force=True)
    assert host.config.read_text() == "{}"


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "a\nb", "ä"])
def test_a_name_that_nobody_could_type_is_refused(host: Host, name: str) -> None:
    host.config.write_text("{}")
    with pytest.raises(EngineError, match="is not a runtime's name: use letters, digits"):
        host.enable(NewRuntime(name, SHIM), force=True)
    assert host.config.read_text() == "{}"


def test_a_runtime_that_someone_has_moved_is_named(host: Host, tmp_path: Path) -> None:
    """As by a tool that brings the file to another schema: our keys are not there any more, and yet we are."""
    host.config.write_text("{}")
    host.enable()
    host.engine.elsewhere = {"cdi-runc": {"path": SHIM}}
    host.config.write_text("{}")
    with pytest.raises(EngineError, match=r"still has the runtime cdi-runc: someone has moved it.*nothing was changed"):
        host.disable()
    assert len(records.registrations(host.state)) == 1
    [doubt] = host.disable(force=True).said
    assert "still has the runtime cdi-runc" in doubt
    assert records.registrations(host.state) == []


def test_by_force_a_registration_goes_though_the_engine_chokes_on_its_file(host: Host) -> None:
    host.config.write_text("{}")
    host.enable()
    host.engine.refuses = "broken"
    host.config.write_text(json.dumps({"runtimes": {"cdi-runc": {"path": SHIM}, "broken": {"path": "/x"}}}))
    with pytest.raises(EngineError, match="I want no broken"):
        host.disable()
    host.disable(force=True)
    assert host.says() == {"runtimes": {"broken": {"path": "/x"}}}


def test_an_engines_own_cdi_is_turned_on_and_back_off_byte_for_byte(host: Host) -> None:
    host.config.write_text('{ "a": 1 }')

    def enable(**how: Any) -> registration.Outcome:
        return registration.enable_native(host.engine, host.engine.find(str(host.config)), directory=host.state, **how)

    assert '+{ "a": 1, "cdi": true }' in enable(dry_run=True).diff()
    assert enable().changes
    assert not enable().changes
    host.enable()  # beside it
    assert host.says() == {"a": 1, "cdi": True, "runtimes": {"cdi-runc": {"path": SHIM}}}
    host.disable("")
    host.disable()
    assert host.config.read_text() == '{ "a": 1 }'


def test_an_engines_own_cdi_that_someone_else_turned_on_is_not_ours(host: Host) -> None:
    host.config.write_text('{"cdi": true}')
    found = host.engine.find(str(host.config))
    assert not registration.enable_native(host.engine, found, directory=host.state).changes
    assert records.registrations(host.state) == []
