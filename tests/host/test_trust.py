"""Files that others than root may write: whose they are decides whether their devices are handed out."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cdi_runc.host import builder, places, trust
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.snapshot import Snapshot
from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import ShimError

SPEC = '{"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "%s", "containerEdits": {"env": ["A=1"]}}]}'


class Host:
    """Two spec files in a directory, a config, and what the shim knows of them."""

    def __init__(self, root: Path) -> None:
        self.root, self.specs, self.config = root, root / "cdi", root / "config.yaml"
        self.specs.mkdir(mode=0o755)
        self.specs.chmod(0o755)
        self.set("warn")
        for name in ("a", "b"):
            (self.specs / f"{name}.json").write_text(SPEC % name)
            (self.specs / f"{name}.json").chmod(0o644)
        self.config.chmod(0o644)

    def set(self, how: str) -> None:
        self.config.write_text(f"spec-dirs: [{self.specs}]\ntrust: {how}\n")

    def known(self) -> Snapshot:
        data = builder.build(str(self.config))
        return Snapshot(lambda start, size: data[start : start + size])

    def notes(self, *names: str) -> list[str]:
        """What the shim warns of."""
        config = {"annotations": {f"cdi.k8s.io/{name}": f"v.com/c={name}" for name in names}}
        return decide(config, "create", self.known()).notes


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    return Host(tmp_path)


def _link_out(host: Host) -> None:
    (host.root / "elsewhere.json").write_text(SPEC % "a")
    (host.specs / "a.json").unlink()
    (host.specs / "a.json").symlink_to(host.root / "elsewhere.json")


def _give_away(host: Host) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(host.specs / "a.json", 1000, 0)


OF_A_FILE: dict[str, tuple[Callable[[Host], object], str]] = {
    "owner": (_give_away, "a.json belongs to the user 1000, not to root (chown root "),
    "mode": (lambda host: (host.specs / "a.json").chmod(0o646), "others than root may write "),
    "link": (_link_out, "a.json is a link out of its directory, to "),
}


@pytest.mark.parametrize("how", OF_A_FILE)
def test_a_file_that_others_can_write(host: Host, how: str) -> None:
    change, reason = OF_A_FILE[how]
    assert host.notes("a", "b") == []
    change(host)

    assert host.notes("b") == []
    [note] = host.notes("a", "b")
    assert note.startswith("not trusted, and used all the same: ")
    assert reason in note

    host.set("strict")
    assert host.notes("b") == []
    with pytest.raises(ShimError) as fault:
        host.notes("a")
    assert reason in str(fault.value)
    assert "not used, since config.yaml says 'trust: strict'" in str(fault.value)


def test_a_directory_that_others_can_write_stands_for_its_files(host: Host) -> None:
    host.specs.chmod(0o777)
    [note] = host.notes("a")
    assert f"others than root may write {host.specs} (chmod go-w {host.specs})" in note
    host.set("strict")
    with pytest.raises(ShimError, match="others than root may write"):
        host.notes("b")


def test_settings_that_others_can_write(host: Host) -> None:
    host.config.chmod(0o666)
    assert [f"others than root may write {host.config}" in note for note in host.notes("a")] == [True]
    host.set("strict")
    assert host.known().settings["fault"].startswith(f"others than root may write {host.config}")
    assert decide({}, "create", host.known()).groups == []  # who asks for nothing starts


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose directories have one above them that is `tmp_path / "above"`."""
    monkeypatch.setattr(places, "is_host_root", lambda: True)
    (tmp_path / "above" / "inner").mkdir(parents=True)
    for name in ("above", "above/inner"):
        (tmp_path / name).chmod(0o755)
    return Host(tmp_path / "above" / "inner")


@pytest.mark.parametrize("which", ["above", "above/inner"])
def test_who_can_write_a_directory_above_can_replace_what_is_in_it(deep: Host, tmp_path: Path, which: str) -> None:
    above = tmp_path / which
    assert deep.notes("a") == []
    above.chmod(0o777)
    reason = f"others than root may write {above} (chmod go-w {above})"
    # One note is about the settings, the other about the spec.
    assert deep.notes("a") == [f"not trusted, and used all the same: {reason}"] * 2
    deep.set("strict")
    known = deep.known()
    with pytest.raises(SettingsError) as fault:
        decide({"annotations": {"cdi.k8s.io/x": "v.com/c=a"}}, "create", known)
    assert str(fault.value).startswith(reason)
    assert decide({}, "create", known).groups == []  # who asks for nothing starts
    assert known.is_fresh()
    above.chmod(0o755)
    assert not known.is_fresh()  # mended, and so its devices can be had from the next container on
    assert deep.notes("a") == []


def test_nobody_can_replace_what_is_roots_in_a_sticky_directory(deep: Host, tmp_path: Path) -> None:
    (tmp_path / "above").chmod(0o1777)
    assert deep.notes("a") == []
    if os.geteuid() == 0:
        os.chown(deep.root, 1000, 0)
        assert f"{deep.root} belongs to the user 1000, not to root" in deep.notes("a")[0]


def test_a_sticky_directory_of_specs_is_not_enough(deep: Host) -> None:
    deep.specs.chmod(0o1777)
    assert f"others than root may write {deep.specs}" in deep.notes("a")[0]


def test_the_directories_that_a_link_leads_through_count(deep: Host, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    deep.specs.rename(elsewhere / "cdi")
    deep.specs.symlink_to(elsewhere / "cdi")
    elsewhere.chmod(0o755)
    assert deep.notes("a") == []
    elsewhere.chmod(0o777)
    assert deep.notes("a") == [
        f"not trusted, and used all the same: others than root may write {elsewhere} (chmod go-w {elsewhere})"
    ]


def test_settings_that_others_may_have_removed(deep: Host) -> None:
    """There may have been a policy beside them."""
    deep.root.chmod(0o777)
    missing = str(deep.root / "none.yaml")
    reason = f"others than root may write {deep.root} (chmod go-w {deep.root})"
    assert trust.foreign({"trust": "warn"}, missing, ()) == {"": reason}


def test_a_policy_that_others_may_replace(deep: Host, tmp_path: Path) -> None:
    (deep.root / "policy.yaml").write_text("rules: []\n")
    (deep.root / "policy.yaml").chmod(0o644)
    deep.notes("a")
    (tmp_path / "above").chmod(0o777)
    with pytest.raises(SettingsError, match=r"policy\.yaml: others than root may write "):
        deep.notes("a")


@pytest.mark.parametrize("changed", ["cdi", "cdi/a.json", "config.yaml"])
def test_a_change_of_the_mode_makes_a_snapshot_stale(host: Host, changed: str) -> None:
    known = host.known()
    assert known.is_fresh()
    (host.root / changed).chmod(0o775)
    assert not known.is_fresh()


@pytest.mark.parametrize("changed", ["cdi", "cdi/a.json", "config.yaml"])
def test_a_change_of_the_owner_makes_a_snapshot_stale(host: Host, changed: str) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    known = host.known()
    os.chown(host.root / changed, 1000, 1000)
    assert not known.is_fresh()


def test_a_file_that_comes_and_goes_leaves_a_snapshot_fresh(host: Host) -> None:
    known = host.known()
    (host.specs / "temporary").touch()
    assert known.is_fresh()


def test_a_users_own_files_are_the_users(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "is_host_root", lambda: False)
    (host.specs / "a.json").chmod(0o666)
    host.set("strict")
    assert host.notes("a") == []


def test_a_link_within_the_directory_and_a_group_of_root_are_fine(host: Host) -> None:
    if os.geteuid():
        pytest.skip("the group is not root's")
    (host.specs / "a.json").rename(host.specs / "a")
    (host.specs / "a.json").symlink_to("a")
    (host.specs / "a").chmod(0o664)
    assert trust.why_not_spec(str(host.specs / "a.json")) == ""
