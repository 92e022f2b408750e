"""The story of a container of LXC or Incus, without either: its config, our log, and the policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdi_runc.ctl.why import hooked
from cdi_runc.shim.lxc import record
from tests.ctl.conftest import Cdictl

DENY = "rules:\n- {{match: {{{}}}, action: deny, message: ask Ada}}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where LXC and Incus have the containers' configs."""
    places = {"lxc": (f"{tmp_path}/lxc/{{name}}/config",), "incus": (f"{tmp_path}/incus/{{name}}/lxc.conf",)}
    monkeypatch.setattr(hooked, "_CONFIGS", places)
    monkeypatch.setattr(record, "log_path", lambda _: str(tmp_path / "lxc.log"))
    monkeypatch.setattr(hooked, "_hooks", lambda _: [])
    for place in ("lxc/c/config", "incus/c9/lxc.conf", "incus/tight_c2/lxc.conf"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("lxc.environment = CDI_DEVICES=vendor.com/gpu=0\nlxc.environment = GPU0=yes\n")
    (tmp_path / "config.yaml").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "match", "denied"),
    [
        ("c", "container: c", True),
        ("c", "container: c, engine: lxc, through: hook", True),
        ("c", "container: other", False),
        ("c", "container: c, engine: incus", False),
        ("c9", "container: c9, namespace: default", True),
        ("tight_c2", "container: c2, namespace: tight, engine: incus", True),
        ("tight_c2", "container: c2, namespace: default", False),
    ],
)
def test_the_policy_knows_its_names(cdictl: Cdictl, home: Path, name: str, match: str, denied: bool) -> None:
    (home / "policy.yaml").write_text(DENY.format(match))
    (home / "policy.yaml").chmod(0o644)
    result = cdictl("--config", home / "config.yaml", "explain", "container", name)
    assert result.exit_code == (1 if denied else 0), result.output
    assert result.stdout.startswith("problem: vendor.com/gpu=0: ask Ada (" if denied else "nothing is wrong\n")


def test_a_rule_that_allows_and_one_that_reports_are_told(cdictl: Cdictl, home: Path) -> None:
    (home / "policy.yaml").write_text("rules:\n- {match: {container: c}, action: audit}\n- {action: allow}\n")
    (home / "policy.yaml").chmod(0o644)
    said = " ".join(cdictl("--config", home / "config.yaml", "explain", "container", "c").stdout.split())
    assert "vendor.com/gpu=0 is allowed by" in said
    assert "vendor.com/gpu=0: asked for by hook CDI_DEVICES" in said


def test_a_device_that_is_gone_is_told_once(cdictl: Cdictl, home: Path) -> None:
    (home / "lxc/c/config").write_text("lxc.environment = CDI_DEVICES=vendor.com/gpu=9\n")
    said = cdictl("--config", home / "config.yaml", "explain", "container", "c", "-o", "json").stdout
    assert said.count('"level": "problem"') == 1


def test_what_the_config_lacks_is_told_with_the_line_that_mends_it(cdictl: Cdictl, home: Path) -> None:
    asks, config = "lxc.environment = CDI_DEVICES=vendor.com/gpu=0\n", home / "lxc/c/config"

    def said() -> str:
        return " ".join(cdictl("--config", home / "config.yaml", "explain", "container", "c").stdout.split())

    assert said().startswith("nothing is wrong")
    config.write_text(asks)
    line = f"put this line into the container's config: lxc.include = {home}/lxc/c"
    assert f"warning: variables and the like can't come from hooks: {line}" in said()
    config.write_text(f"{asks}lxc.include = {home}/lxc/c\n")
    assert f"warning: {home}/lxc/c/cdi.conf is not as the specs are now" in said()
    (home / "lxc/c/cdi.conf").write_text("# cdictl render lxc: vendor.com/gpu=0\nlxc.environment = GPU0=yes\n")
    assert said().startswith("nothing is wrong")
