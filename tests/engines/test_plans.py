"""What each engine's files look like with cdi-runc in them, and that they come back byte for byte without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from pytest_subprocess import FakeProcess

from cdi_runc.engines import containerd, docker, nerdctl, podman, rancher, values
from cdi_runc.engines.engine import EngineError, FilePlan, Found, NewRuntime, Runtimes
from tests.engines.conftest import applied

SHIM = "/usr/bin/cdi-runc"
RUNC: Mapping[str, object] = {"path": "runc", "runtime_type": "io.containerd.runc.v2"}


def _text(text: str) -> str:
    return dedent(text).lstrip("\n")


def _found(name: str, version: str, config: Path, *, explicit: bool = True) -> Found:
    return Found(name, f"/usr/bin/{name}", version, str(config), False, "no", explicit)


@pytest.mark.parametrize(
    ("new", "after"),
    [
        (
            NewRuntime(path=SHIM),
            """
            {
              "features": {"buildkit": true},
              "runtimes": {
                "nvidia": {"path": "nvidia-container-runtime"},
                "cdi-runc": {
                  "path": "/usr/bin/cdi-runc"
                }
              },
              "default-runtime": "nvidia"
            }
            """,
        ),
        (
            NewRuntime("gpu", SHIM, default=True),
            """
            {
              "features": {"buildkit": true},
              "runtimes": {
                "nvidia": {"path": "nvidia-container-runtime"},
                "gpu": {
                  "path": "/usr/bin/cdi-runc"
                }
              },
              "default-runtime": "gpu"
            }
            """,
        ),
    ],
)
def test_docker(tmp_path: Path, new: NewRuntime, after: str) -> None:
    config = tmp_path / "daemon.json"
    config.write_text(
        _text(
            """
            {
              "features": {"buildkit": true},
              "runtimes": {
                "nvidia": {"path": "nvidia-container-runtime"}
              },
              "default-runtime": "nvidia"
            }
            """
        )
    )
    found = _found("docker", "20.10.24", config)
    known = docker.runtimes(found)
    assert known.default == "nvidia"
    assert known.handlers["nvidia"]["path"] == "nvidia-container-runtime"
    [plan] = docker.plan(found, new, known)
    assert applied(plan) == _text(after)


def test_docker_with_a_default_that_it_does_not_have(tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    config.write_text('{"default-runtime": "gone"}')
    with pytest.raises(EngineError, match="default-runtime gone is not one of its runtimes"):
        docker.runtimes(_found("docker", "20.10.24", config))


CONTAINERD_2 = """
version = 2
# the cgroup driver is systemd
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      privileged_without_host_devices = true
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = true

[timeouts]
  "io.containerd.timeout.shim.load" = "5s"
"""

DUMPED = Runtimes(
    "runc",
    {
        "runc": {
            "path": "runc",
            "runtime_type": "io.containerd.runc.v2",
            "privileged_without_host_devices": True,
            "base_runtime_spec": "/etc/containerd/base.json",
            "pod_annotations": ["com.example/*"],
            "options": {"SystemdCgroup": True, "NoPivotRoot": False, "BinaryName": ""},
        }
    },
)

TAKEN_OVER = {
    "runtime_type": "io.containerd.runc.v2",
    "privileged_without_host_devices": True,
    "base_runtime_spec": "/etc/containerd/base.json",
    "pod_annotations": ["com.example/*", "cdi.k8s.io/*"],
    "container_annotations": ["cdi.k8s.io/*"],
    "options": {"SystemdCgroup": True, "BinaryName": SHIM},
}


def test_a_containerd_handler_takes_over_what_the_one_it_stands_for_has() -> None:
    assert containerd.handler(DUMPED, NewRuntime(path=SHIM)) == TAKEN_OVER
    assert containerd.handler(DUMPED, NewRuntime(path=SHIM, wraps="/opt/crun")) == TAKEN_OVER  # the default's, at least


def _cri(plan: FilePlan, plugin: str) -> dict[str, object]:
    settings: object = values.parse("toml", applied(plan))
    for key in ("plugins", plugin, "containerd"):
        assert isinstance(settings, dict)
        settings = settings[key]
    assert isinstance(settings, dict)
    return settings


def test_containerd_1_in_the_file_itself(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONTAINERD_2)
    [plan] = containerd.plan(_found("containerd", "1.6.20", config), NewRuntime(path=SHIM, default=True), DUMPED)
    after = _cri(plan, "io.containerd.grpc.v1.cri")
    runtimes = after["runtimes"]
    assert isinstance(runtimes, dict)
    assert runtimes["cdi-runc"] == TAKEN_OVER
    assert runtimes["runc"]["options"] == {"SystemdCgroup": True}
    assert after["default_runtime_name"] == "cdi-runc"
    assert "# the cgroup driver is systemd" in applied(plan)


def test_containerd_1_keeps_the_built_in_handler_beside_the_first_of_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("version = 2\n")
    [plan] = containerd.plan(
        _found("containerd", "1.7.24", config), NewRuntime(path=SHIM), Runtimes("runc", {"runc": RUNC})
    )
    runtimes = _cri(plan, "io.containerd.grpc.v1.cri")["runtimes"]
    assert isinstance(runtimes, dict)
    assert runtimes["runc"] == {"runtime_type": "io.containerd.runc.v2"}


@pytest.mark.parametrize(
    ("schema", "plugin"),
    [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.runtime"), (4, "io.containerd.cri.v1.runtime")],
)
@pytest.mark.parametrize("imports", ["", 'imports = ["conf.d/*.toml"]\n', 'imports = ["/other/*.toml"]\n'])
def test_containerd_2_in_a_drop_in(tmp_path: Path, schema: int, plugin: str, imports: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"version = {schema}\n{imports}")
    plans = containerd.plan(_found("containerd", "2.1.9", config), NewRuntime(path=SHIM), DUMPED)
    drop_in = tmp_path / "conf.d/50-cdi-runc.toml"
    assert plans[0].path == str(drop_in)
    assert values.parse("toml", applied(plans[0]))["version"] == schema
    runtimes = _cri(plans[0], plugin)["runtimes"]
    assert isinstance(runtimes, dict)
    assert runtimes["cdi-runc"] == TAKEN_OVER
    if "conf.d" in imports:
        assert len(plans) == 1
    else:
        listed = values.parse("toml", applied(plans[1]))["imports"]
        assert isinstance(listed, list)
        assert listed[-1] == str(drop_in)


@pytest.mark.parametrize(
    ("text", "new", "words"),
    [
        (
            'disabled_plugins = ["cri"]\n',
            NewRuntime(path=SHIM),
            'config.toml turns the CRI plugin off.* take "cri" out',
        ),
        ("version = 2\n", NewRuntime(path=SHIM, drop_in="/x"), "does not merge drop-ins"),
        ("version = 2\n[", NewRuntime(path=SHIM), r"config.toml: line 2, column \d+: "),
    ],
)
def test_containerd_configs_that_can_not_be_used(tmp_path: Path, text: str, new: NewRuntime, words: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    with pytest.raises(EngineError, match=words):
        containerd.plan(_found("containerd", "1.6.20", config), new, DUMPED)


def test_podman_in_a_drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINERS_CONF_OVERRIDE", raising=False)
    monkeypatch.setattr(podman, "_SYSTEM", ())
    config = tmp_path / "containers.conf"
    config.write_text('[engine]\nruntime_supports_json = ["mine"]\n')
    found = _found("podman", "4.3.1", config, explicit=False)
    [plan] = podman.plan(found, NewRuntime("cdi-crun", "/usr/bin/cdi-crun", "crun", default=True), Runtimes("crun"))
    assert plan.path == str(tmp_path / "containers.conf.d/50-cdi-crun.conf")
    assert values.parse("toml", applied(plan)) == {
        "engine": {
            "runtime": "cdi-crun",
            "runtime_supports_json": ["mine", "cdi-crun"],
            "runtime_supports_nocgroup": ["crun", "krun", "cdi-crun"],
            "runtime_supports_nocgroups": ["crun", "krun", "cdi-crun"],
            "runtimes": {"cdi-crun": ["/usr/bin/cdi-crun"]},
        }
    }


def test_podman_in_a_file_that_was_named(tmp_path: Path) -> None:
    config = tmp_path / "containers.conf"
    config.write_text('# mine\n[engine]\nruntime = "crun"\n[engine.runtimes]\nfoo = ["/foo"]\n')
    [plan] = podman.plan(_found("podman", "5.4.2", config), NewRuntime(path=SHIM), Runtimes("crun"))
    after = applied(plan)
    assert after.startswith("# mine\n")
    engine = values.parse("toml", after)["engine"]
    assert isinstance(engine, dict)
    assert engine["runtimes"] == {"foo": ["/foo"], "cdi-runc": [SHIM]}
    assert engine["runtime"] == "crun"


GENERATED = """
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = true
"""
BLOCK = """
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes."cdi-runc"]
  runtime_type = "io.containerd.runc.v2"
  pod_annotations = ["cdi.k8s.io/*"]
  container_annotations = ["cdi.k8s.io/*"]

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes."cdi-runc".options]
  BinaryName = "/usr/bin/cdi-runc"
  SystemdCgroup = {{ .SystemdCgroup }}
"""


@pytest.mark.parametrize("engine", [rancher.K3S, rancher.RKE2])
@pytest.mark.parametrize("template", [None, '{{ template "base" . }}\n[mine]\n  a = {{ .Opt }}\n'])
def test_k3s_and_rke2_in_their_template(tmp_path: Path, engine: rancher.Rancher, template: str | None) -> None:
    (tmp_path / "config.toml").write_text(GENERATED)
    path = tmp_path / "config.toml.tmpl"
    if template:
        path.write_text(template)
    found = _found(engine.name, "1.30.4", path)
    [plan] = engine.plan(found, NewRuntime(path=SHIM), engine.runtimes(found))
    after = applied(plan)
    assert after == (template or '{{ template "base" . }}\n') + BLOCK
    path.write_text(after)
    assert engine.runtimes(found).handlers["cdi-runc"]["path"] == SHIM


def test_k3s_with_containerd_2(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n  runtime_type = 'x'\n"
    )
    engine = rancher.Rancher("k3s", str(tmp_path), ("k3s", "k3s-agent"))
    found = _found("k3s", "1.32.3", tmp_path / "config-v3.toml.tmpl")
    [plan] = engine.plan(found, NewRuntime(path=SHIM), engine.runtimes(found))
    assert '[plugins."io.containerd.cri.v1.runtime".containerd.runtimes."cdi-runc"]\n' in applied(plan)


@pytest.mark.parametrize("engine", [rancher.K3S, rancher.RKE2])
@pytest.mark.parametrize("role", [0, 1])
def test_k3s_and_rke2_are_restarted_as_what_they_are(engine: rancher.Rancher, role: int, fp: FakeProcess) -> None:
    server, agent = engine.units
    fp.register(["systemctl", "is-active", server], returncode=3 * role)
    fp.register(["systemctl", "is-active", agent], returncode=3 - 3 * role)
    fp.register(["systemctl", "restart", fp.any()])
    engine.reload(_found(engine.name, "1.32.3", Path("x"), explicit=False), "cdi-runc")
    assert fp.calls[-1] == ["systemctl", "restart", engine.units[role]]


def test_k3s_without_systemd_is_left_to_the_administrator(fp: FakeProcess) -> None:
    fp.register(["systemctl", fp.any()], returncode=3, occurrences=2)
    with pytest.raises(EngineError, match="no systemd unit runs this k3s: restart it yourself"):
        rancher.K3S.reload(_found("k3s", "1.32.3", Path("x"), explicit=False), "cdi-runc")


@pytest.mark.parametrize(
    ("engine", "new", "words"),
    [
        (rancher.K3S, NewRuntime(default=True), "default-runtime: cdi-runc into /etc/rancher/k3s/config.yaml"),
        (docker, NewRuntime(drop_in="/x"), "Docker has no drop-in files"),
        (nerdctl, NewRuntime(path=SHIM), "nerdctl run --runtime /usr/bin/cdi-runc"),
        (nerdctl, NewRuntime(default=True), "no setting for a default runtime"),
    ],
)
def test_what_an_engine_can_not_do_is_said(tmp_path: Path, engine: object, new: NewRuntime, words: str) -> None:
    found = _found("x", "1.0", tmp_path / "config")
    with pytest.raises(EngineError, match=words):
        engine.plan(found, new, Runtimes("runc"))  # type: ignore[attr-defined]
