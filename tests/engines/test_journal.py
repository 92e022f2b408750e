import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from cdi_runc.engines import journal
from cdi_runc.engines.engine import EngineError
from cdi_runc.engines.journal import Change


def _in_child(work: Callable[[], None], uid: int | None = None) -> int:
    """Run `work` in a process of its own, as another user if that is asked, and say how the process ended."""
    child = os.fork()
    if child == 0:
        if uid is not None:
            os.setgid(uid)
            os.setuid(uid)
        try:
            work()
        except EngineError as fault:
            Path("said").write_text(str(fault))
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def changes(tmp_path: Path) -> list[journal.Change]:
    """One file to edit, one to make in a new folder, one to remove."""
    (tmp_path / "edited").write_text("old\n")
    os.chmod(tmp_path / "edited", 0o640)
    (tmp_path / "removed").write_bytes(b"\xff not text\r\n")
    edits = [("edited", "new\n"), ("a/b/made", "new\n"), ("removed", None)]
    return [journal.change_of(str(tmp_path / name), after) for name, after in edits]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "state" not in path.parts
    }


def test_all_is_written_with_mode_and_owner_kept(tmp_path: Path, changes: list[journal.Change]) -> None:
    with journal.locked("state") as said:
        journal.commit("state", changes, lambda: None)
    assert said == []
    assert _files(tmp_path) == {"edited": b"new\n", "a/b/made": b"new\n"}
    assert os.stat("edited").st_mode & 0o777 == 0o640
    assert sorted(os.listdir("state")) == ["lock"]


def test_what_is_not_confirmed_is_put_back(tmp_path: Path, changes: list[journal.Change]) -> None:
    before = _files(tmp_path)

    def refuse() -> None:
        raise EngineError("no")

    with journal.locked("state"), pytest.raises(EngineError, match=r"^no$"):
        journal.commit("state", changes, refuse)
    assert _files(tmp_path) == before
    assert not os.path.exists("a")
    assert os.stat("edited").st_mode & 0o777 == 0o640


@pytest.mark.parametrize("step", range(24))
def test_a_process_killed_anywhere_is_recovered_from(
    step: int, tmp_path: Path, changes: list[journal.Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(tmp_path)
    steps = iter(range(100))

    def dying(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **named: object) -> object:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **named)

        monkeypatch.setattr(os, name, call)

    def work() -> None:
        for name in ("rename", "unlink", "open", "fchmod"):
            dying(name)
        with journal.locked("state"):
            journal.commit("state", changes, lambda: None)

    status = _in_child(work)
    assert status in (0, signal.SIGKILL)
    with journal.locked("state"):
        pass
    done = {"edited": b"new\n", "a/b/made": b"new\n"}
    assert _files(tmp_path) in ([done] if status == 0 else [before, done])
    assert os.listdir("state") == ["lock"]


def test_what_someone_else_changed_since_is_left(tmp_path: Path, changes: list[journal.Change]) -> None:
    def work() -> None:
        journal.commit("state", changes, lambda: os.kill(os.getpid(), signal.SIGKILL))

    with journal.locked("state"):
        pass
    _in_child(work)
    Path("edited").write_text("someone else's\n")
    with journal.locked("state") as said:
        assert any("changed by someone else since, left as it is" in line for line in said)
    assert _files(tmp_path) == {"edited": b"someone else's\n", "removed": b"\xff not text\r\n"}


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, so it needs root")
def test_who_may_not_write_hears_which_file(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/daemon.json").write_text("{}")

    def work() -> None:
        change = journal.change_of(str(tmp_path / "etc/daemon.json"), "new")
        with journal.locked(str(tmp_path / "state")):
            journal.commit(str(tmp_path / "state"), [change], lambda: None)

    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o005)
    assert _in_child(work, uid=65534) == 1 << 8
    assert "etc/daemon.json: Permission denied; run this as root" in Path("said").read_text()
    assert (tmp_path / "etc/daemon.json").read_text() == "{}"


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    Path("real").write_text("old")
    Path("link").symlink_to("real")
    path = journal.link_target("link")
    with journal.locked("state"):
        journal.commit("state", [journal.change_of(path, "new")], lambda: None)
    assert path == str(tmp_path / "real")
    assert Path("link").is_symlink()
    assert Path("link").read_text() == "new"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Path("x").symlink_to("nowhere"), "is a link to .*nowhere, which is not a file"),
        (lambda: Path("x").mkdir(), "is not a regular file"),
        (lambda: os.mkfifo("x"), "is not a regular file"),
    ],
)
def test_what_is_no_config_file_is_said(make: Callable[[], None], words: str) -> None:
    make()
    with pytest.raises(EngineError, match=words):
        journal.link_target("x")


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a file of another user, so it needs root")
def test_a_link_to_what_belongs_to_others_is_refused() -> None:
    Path("real").write_text("old")
    os.chown("real", 65534, 65534)
    Path("link").symlink_to("real")
    with pytest.raises(EngineError, match="which belongs to another user"):
        journal.link_target("link")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder on a read-only file system, with the file `daemon.json`."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    (folder / "daemon.json").write_text("{}")
    for words in (["--bind", str(folder), str(folder)], ["-o", "remount,bind,ro", str(folder)]):
        if subprocess.run(["mount", *words], capture_output=True, timeout=30).returncode != 0:
            subprocess.run(["umount", str(folder)], capture_output=True, timeout=30)
            pytest.skip("only root may mount")
    yield folder
    subprocess.run(["umount", str(folder)], capture_output=True, timeout=30)


def test_a_read_only_file_is_named_and_nothing_stays_behind(read_only: Path, tmp_path: Path) -> None:
    state, path = str(tmp_path / "state"), str(read_only / "daemon.json")
    with (
        journal.locked(state),
        pytest.raises(EngineError, match=f"^can't write {path}: Read-only file system; set it where"),
    ):
        journal.commit(state, [journal.change_of(path, "new")], lambda: None)
    assert sorted(os.listdir(state)) == ["lock"]


def test_recovery_goes_on_past_what_can_not_be_put_back(read_only: Path, tmp_path: Path) -> None:
    """As on a system whose /etc became read-only between a killed call and the next."""
    stuck, other, state = read_only / "daemon.json", tmp_path / "other", tmp_path / "state"
    other.write_text("new")
    state.mkdir()
    pending = state / "pending.json"
    changes = [Change(str(stuck), "old", "{}"), Change(str(other), "old", "new")]
    pending.write_text(json.dumps([asdict(change) for change in changes]))
    for _ in range(2):
        said = journal.recover_pending(str(state))
        assert other.read_text() == "old"
        assert f"{stuck} can't be put back as it was; its text of before is in {pending}" in said[-1]

    with journal.locked(str(state)):  # other engines can be changed meanwhile
        journal.commit(str(state), [journal.change_of(str(other), "newer")], lambda: None)
    assert other.read_text() == "newer"
    assert [entry["path"] for entry in json.loads(pending.read_text())] == [str(stuck)]

    subprocess.run(["umount", str(read_only)], check=True, timeout=30)
    assert "put back as it was" in journal.recover_pending(str(state))[0]
    assert stuck.read_text() == "old"
    assert not pending.exists()


def test_a_file_that_can_not_be_put_back_is_named_with_where_its_text_is(tmp_path: Path) -> None:
    state, path = str(tmp_path / "state"), tmp_path / "daemon.json"
    path.write_text("old")

    def spoil() -> None:
        path.unlink()
        path.mkdir()
        raise EngineError("the engine refuses it")

    with journal.locked(state), pytest.raises(journal.NotRestored, match=r"the engine refuses it; .*pending.json"):
        journal.commit(state, [journal.change_of(str(path), "new")], spoil)
    assert json.loads(Path(state, "pending.json").read_text())[0]["before"] == "old"


@pytest.mark.parametrize("text", ["", "{", "null", "[{}]", '[{"path": 1, "before": 1}]', "[[]]", "3", "[" * 100_000])
def test_a_damaged_pending_file_is_kept_aside_and_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "pending.json").write_text(text)
    [said] = journal.recover_pending(str(tmp_path))
    assert said.startswith(f"{tmp_path}/pending.json.damaged: ")
    assert (tmp_path / "pending.json.damaged").read_text() == text
    assert journal.recover_pending(str(tmp_path)) == []


def test_a_pending_file_of_a_later_version_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text("new")
    entry = asdict(Change(str(path), "old", "new")) | {"colour": "red"}
    (tmp_path / "pending.json").write_text(json.dumps([entry]))
    journal.recover_pending(str(tmp_path))
    assert path.read_text() == "old"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "daemon.json")
    with pytest.raises(EngineError, match=r"can't read .*daemon.json: is a pipe, socket or device"):
        journal.read(str(tmp_path / "daemon.json"))


def test_what_a_process_left_that_was_killed_before_it_changed_anything_is_removed() -> None:
    os.mkdir("state", 0o700)
    Path("state/.pending.json.cdi-runc").write_text("[")
    assert journal.recover_pending("state") == []
    assert os.listdir("state") == ["lock"]
