"""CRI-O: how it is asked for its runtimes, and what it is told of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pytest_subprocess import FakeProcess

from cdi_runc.engines import crio, values
from cdi_runc.engines.engine import Found, NewRuntime, Runtimes
from tests.engines.conftest import applied

SHIM = "/usr/bin/cdi-runc"

# What 1.37 says to `crio config --default`, and to `crio config` where the runtimes are as by default or aren't.
DEFAULT = """
[crio]
root = "/var/lib/containers/storage"
[crio.runtime]
default_runtime = "crun"
[crio.runtime.runtimes.crun]
runtime_path = ""
runtime_root = "/run/crun"
"""
AS_DEFAULT = """
[crio]
# root = "/var/lib/containers/storage"
[crio.runtime]
# default_runtime = "crun"
# [crio.runtime.runtimes.crun]
# runtime_path = ""
"""
OTHER = """
[crio]
[crio.runtime]
[crio.runtime.runtimes.crun]
runtime_path = ""
runtime_root = "/run/crun"
[crio.runtime.runtimes.runc]
runtime_path = "/usr/libexec/crio/runc"
monitor_cgroup = "pod"
"""
CRUN = {"path": "crun", "runtime_path": "", "runtime_root": "/run/crun"}


def _crio(tmp_path: Path) -> Found:
    return Found("crio", "/usr/bin/crio", "1.37.0", str(tmp_path / "crio.conf"), False, "on", True)


def test_a_drop_in_with_all_that_the_runtime_behind_has(tmp_path: Path) -> None:
    known = Runtimes(
        "crun",
        {
            "crun": {
                "path": "/usr/bin/crun",
                "runtime_path": "/usr/bin/crun",
                "runtime_root": "/run/crun",
                "monitor_path": "/usr/libexec/crio/conmon",
                "allowed_annotations": ["io.kubernetes.cri-o.Devices"],
                "no_pivot": False,
            }
        },
    )
    [plan] = crio.plan(_crio(tmp_path), NewRuntime(path=SHIM, default=True), known)
    assert plan.path == str(tmp_path / "crio.conf.d/50-cdi-runc.conf")
    crio_runtime = {
        "default_runtime": "cdi-runc",
        "runtimes": {
            "cdi-runc": {
                "runtime_path": SHIM,
                "runtime_root": "/run/runc",
                "runtime_type": "oci",
                "monitor_path": "/usr/libexec/crio/conmon",
                "allowed_annotations": ["io.kubernetes.cri-o.Devices"],
            }
        },
    }
    assert values.parse("toml", applied(plan)) == {"crio": {"runtime": crio_runtime}}


@pytest.mark.parametrize(
    ("said", "runc"),
    [
        (AS_DEFAULT, {}),
        (
            OTHER,
            {
                "runc": {
                    "path": "/usr/libexec/crio/runc",
                    "runtime_path": "/usr/libexec/crio/runc",
                    "monitor_cgroup": "pod",
                    "seccomp_profile": "/x.json",
                }
            },
        ),
    ],
)
def test_the_runtimes_are_those_of_its_defaults_and_files(
    tmp_path: Path, fp: FakeProcess, said: str, runc: Mapping[str, Mapping[str, object]]
) -> None:
    """Also what a file says of them that `crio config` does not repeat, of several files the last."""
    for name, profile in (("20-a.conf", "/x.json"), ("10-b.conf", "/y.json")):
        (tmp_path / "crio.conf.d").mkdir(exist_ok=True)
        (tmp_path / "crio.conf.d" / name).write_text(
            f'[crio.runtime.runtimes.runc]\nmonitor_cgroup = "z"\nseccomp_profile = "{profile}"\n'
        )
    fp.register(["/usr/bin/crio", "config", "--default"], stdout=DEFAULT)
    fp.register(["/usr/bin/crio", "--config", fp.any(), "config"], stdout=said)
    known = crio.runtimes(_crio(tmp_path))
    assert known == Runtimes("crun", {"crun": CRUN, **runc})


@pytest.mark.parametrize(
    ("wraps", "how", "table"),
    [
        ("crun", {}, {"runtime_root": "/run/crun"}),
        ("runc", {"runtime_type": "vm", "runtime_config_path": "/x"}, {}),
        ("youki", {}, {"runtime_root": "/run/youki"}),
        (
            "runc",
            {"inherit_default_runtime": True, "default_annotations": {"a": "b"}},
            {"default_annotations": {"a": "b"}},
        ),
    ],
)
def test_what_is_said_of_our_runtime(
    tmp_path: Path, wraps: str, how: Mapping[str, object], table: Mapping[str, object]
) -> None:
    """All that the other one has, but not what would put another runtime in our place."""
    known = Runtimes("crun", {"crun": CRUN, "runc": {"path": "runc", **how}})
    [plan] = crio.plan(_crio(tmp_path), NewRuntime(path=SHIM, wraps=wraps), known)
    assert values.parse("toml", applied(plan)) == {
        "crio": {"runtime": {"runtimes": {"cdi-runc": {"runtime_path": SHIM, "runtime_type": "oci", **table}}}}
    }


def test_the_handler_is_needed_for_the_pods_that_are_left(tmp_path: Path, fp: FakeProcess) -> None:
    fp.keep_last_process(True)
    fp.register(["/usr/bin/crio", fp.any()], stdout=f'[crio]\nroot = "{tmp_path}"\n')
    for name, handler in (("a" * 64, "cdi-runc"), ("b" * 64, "runc"), ("c" * 64, None)):
        bundle = tmp_path / "overlay-containers" / name / "userdata"
        bundle.mkdir(parents=True)
        annotations = {"io.kubernetes.cri-o.RuntimeHandler": handler, "io.kubernetes.cri-o.SandboxID": name}
        (bundle / "config.json").write_text(json.dumps({"annotations": annotations} if handler else {}))
    found = _crio(tmp_path)
    assert crio.pods_of(found, "cdi-runc") == ["a" * 12]
    assert crio.pods_of(found, "other") == []
