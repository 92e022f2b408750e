"""The launcher reads a config.yaml as Python does, or leaves it to Python."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdi_runc.host import settings as shim_settings
from cdi_runc.shim.requests import needles
from tests.shim.conftest import Launcher, bundle, executable, make_launcher, shell

PODS = ["pod", "pod of CRI-O", "pod of Docker"]

# Config, the runtime below the launcher's directory, and what a container may ask by.
READ_BY_THE_LAUNCHER: list[tuple[str, str, list[str]]] = [
    ("", "bin/runc", []),
    ("# runtimes:\n#   runc: /nowhere\n\n", "bin/runc", []),
    ("---\n# größer\nrestore: ignore   # a comment\n  # another\n", "bin/runc", []),
    ("runtimes:\n  crun: /nowhere\n  runc: DIR/other\n", "other", []),
    ("runtimes:\n    runc: DIR/other # mine\n", "other", []),
    ("runtimes:\n  runc: 'DIR/other'\n", "other", []),
    ('runtimes: {crun: /x, runc: "DIR/other"}\n', "other", []),
    ("runtimes: {}\nspec-dirs: [/etc/cdi, /var/run/cdi]\nrestore: ignore\n", "bin/runc", []),
    ("spec-dirs: [/a, '/b']\nrestore: inject\n", "bin/runc", []),
    ("spec-dirs:\n  - /a\n  - /b\nruntimes:\n  runc: DIR/other", "other", []),
    ("spec-dirs:\n- /a\n- \"/b\"\nrestore: 'inject'\n", "bin/runc", []),
    ("runtimes:\nspec-dirs:\nrequests:\nrestore:\n", "bin/runc", []),
    ("requests:\n  mounts:\n  env: ~\n", "bin/runc", []),
    ("requests: {annotations: [cdi.k8s.io/], mounts: null, env: null}\n", "bin/runc", []),
    ("requests:\n  annotations: [cdi.k8s.io/]\n  mounts: /var/run/cdi-devices\n", "bin/runc", ["mount"]),
    ("requests: {mounts: /var/run/cdi-devices}\n", "bin/runc", ["mount"]),
    ("requests: { mounts: '/var/run/cdi-devices' , env: CDI_DEVICES }\n", "bin/runc", ["mount", "variable"]),
    ("requests: {env: CDI_DEVICES}\n", "bin/runc", ["variable"]),
    ('requests:\n  env: "CDI_DEVICES"\n  mounts: null\n', "bin/runc", ["variable"]),
    ("requests:\n  env: CDI_DEVICES\n  mounts: /var/run/cdi-devices\n", "bin/runc", ["mount", "variable"]),
    ("requests:\n  annotations: [cdi.k8s.io/, 'mine.io/a/']\n", "bin/runc", ["prefix"]),
    ("requests: {annotations: [], env: CDI_DEVICES}\n", "bin/runc", ["variable"]),
    ("trust: strict\naudit: journal\n", "bin/runc", []),
    ("trust: warn\naudit: file:/var/log/cdi-runc.log\n", "bin/runc", []),
    ("audit: none\nrequests:\n  kubelet: false\n", "bin/runc", []),
    ("audit: syslog\nrequests: {kubelet: true}\n", "bin/runc", PODS),
    ("requests: {kubelet: true, kubelet-dir: /var/lib/k, kubelet-deadline: 5}\n", "bin/runc", PODS),
    ("requests:\n  kubelet-deadline: 60\n  kubelet-dir: '/k'\n  kubelet: true\n", "bin/runc", PODS),
]

BY: dict[str, dict[str, Any]] = {
    "mount": {"mounts": [{"destination": "/var/run/cdi-devices/vendor.com/gpu/0"}]},
    "variable": {"process": {"env": ["CDI_DEVICES=vendor.com/gpu=0"]}},
    "prefix": {"annotations": {"mine.io/a/b": "vendor.com/gpu=0"}},
    "pod": {"annotations": {"io.kubernetes.cri.sandbox-id": "x"}},
    "pod of Docker": {"mounts": [{"source": "/k/pods/u-1/containers/main/3f"}]},
    "pod of CRI-O": {"annotations": {"io.kubernetes.cri-o.SandboxID": "x"}},
}


@pytest.mark.parametrize(("config", "runtime", "asks_by"), READ_BY_THE_LAUNCHER)
def test_a_config_is_read_without_python(launcher: Launcher, config: str, runtime: str, asks_by: list[str]) -> None:
    directory = launcher.directory
    executable(directory / "other", '#!/bin/sh\necho "$0"\n')
    for name, asks in BY.items():
        bundle(directory / name, **asks)
    own = directory / "config.yaml"
    own.write_text(config.replace("DIR", str(directory)))
    assert_python_agrees(directory, "runc", f"{directory}/{runtime}")
    for name in ("plain", "asks", *BY):
        wanted = "python" if name in ["asks", *asks_by] else f"{directory}/{runtime}"
        assert launcher.decide([f"--cdi-config={own}", "create", "--bundle", name, "id"]) == wanted, name
    assert launcher.decide([f"--cdi-config={own}", "state", "id"]) == f"{directory}/{runtime}"


def assert_python_agrees(directory: Path, name: str, runtime: str) -> None:
    read = shim_settings.read(str(directory / "config.yaml"))
    assert read["fault"] == ""
    assert read["runtimes"].get(name, f"{directory}/bin/{name}") == runtime


@pytest.mark.parametrize(
    "config",
    [
        '"runtimes":\n  runc: /other\n',
        "? runtimes\n: runc: /other\n",
        "runtimes:\n  'runc': /other\n",
        "runtimes:\n  runc: &a /other\n",
        "runtimes:\n  runc: /other\n  runc: /again\n",
        "runtimes:\n  crun: /other\n  crun: /again\n",
        "runtimes:\n  no: /other\n",
        "runtimes:\n  runc: other\n",
        "runtimes:\n  crun: other\n",
        "runtimes:\n  crun:\n",
        "runtimes:\n  runc: /other\nruntimes:\n  crun: /x\n",
        "runtimes: {runc: /other, runc: /again}\n",
        "runtimes: {runc: /other\n",
        "runtimes: {crun: /other}\n  runc: /more\n",
        "runtimes:\n  crun: /other\n    runc: /more\n",
        "runtimes:\n  crun: /other\n runc: /more\n",
        "runtimes:\n\trunc: /other\n",
        "runtimes:\r\n  runc: /other\r\n",
        "runtimes:\n  runc:\n    /other\n",
        "  runc: /other\n",
        "spec-dirs: []\n",
        "spec-dirs: [ ]\n",
        "spec-dirs: [/etc/cdi, foo]\n",
        "spec-dirs: [/a,, /b]\n",
        "spec-dirs: [/a]\n- /b\n",
        "spec-dirs:\n  - /a\n- /b\n",
        "spec-dirs:\n  - a\n",
        "spec-dirs: [/a]\nspec-dirs: [/b]\n",
        "spec-dirs: /a\n",
        "- /a\n",
        "requests:\n  annotations:\n",
        "requests:\n  annotations: [/]\n",
        "requests:\n  annotations: [mine.io]\n",
        "requests:\n  annotations: mine.io/\n",
        "requests:\n  mounts: /a/\n",
        "requests:\n  mounts: /a//b\n",
        "requests:\n  mounts: /a\n  mounts: /b\n",
        "requests:\n  mounts: /a b\n",
        "requests:\n  mounts: '/a #b'\n",
        "requests:\n  mounts: a\n",
        "requests: {env: off}\n",
        "requests: {env: Yes}\n",
        "requests:\n  env: off\n",
        "requests:\n  env: a.b\n",
        "requests:\n  env: 1\n",
        "requests:\n  env: ''\n",
        "requests: [env]\n",
        "requests: {env:X}\n",
        "requests: {env: X\n",
        "requests: {env: X} }\n",
        "requests: {env: X}, {mounts: /a}\n",
        "requests: {env: X, env: Y}\n",
        "requests:\n  env: X Y\n",
        "requests:\n  env: X\n   Y\n",
        "requests:\n  kubelet: perhaps\n",
        "requests:\n  kubelet:\n",
        "requests:\n  kubelet: 'true'\n",
        "requests:\n  kubelet-deadline: 0\n",
        "requests:\n  kubelet-deadline: 61\n",
        "requests:\n  kubelet-deadline: '5'\n",
        "requests:\n  kubelet-deadline: 05\n",
        "requests:\n  kubelet-dir: k\n",
        "requests:\n  other: 1\n",
        "restore: perhaps\n",
        "restore:\n  inject\n",
        "restore: inject\n  more\n",
        "trust: no\n",
        "audit: /var/log/x\n",
        "audit: file:x\n",
        "other: 1\n",
        "restore\n",
        "restore: ignore\n---\n",
        "---\n---\n",
        "--- restore: ignore\n",
        "%YAML 1.1\n",
        "restore: ignore # \a\n",
    ],
)
def test_python_reads_any_other_config(launcher: Launcher, config: str) -> None:
    own = launcher.directory / "config.yaml"
    own.write_text(config, newline="")
    assert launcher.decide([f"--cdi-config={own}", "state", "id"]) == "python"


LINES = [
    *("", "# a: b", "---", "    # x", "restore: inject", "restore:", "restore: no"),
    *("runtimes:", "  runc: DIR/other", "  crun: /x", "  runc: DIR/a:b", "  runc: /x: y", "  runc:", "  on: /x"),
    *("runtimes: {}", "runtimes: {runc: DIR/other}", "runtimes: {crun: /x, runc: 'DIR/other'}", "runtimes: {runc: x}"),
    *("spec-dirs:", "spec-dirs: [/a]", "  - /a", "- /a", "  - /b c", "spec-dirs: [/a, [/b]]", "spec-dirs: [/a, b: c]"),
    *("spec-dirs: [/a,, /b]", "spec-dirs: [/a, b]", "spec-dirs: [ '/a' ]", "    - /a", "  -  /a", '  - "/a"'),
    *(
        "requests:",
        "  mounts: /m/dev-ices",
        "  env: CDI",
        "  env: null",
        "  annotations: [cdi.k8s.io/]",
        "    env: CDI",
    ),
    *("requests: {}", "requests: {env: CDI}", "requests: {mounts: /m/x, env: ~}", "requests: {annotations: [a/, b/]}"),
    *(
        "  env: off",
        "  env: a.b",
        "  env: 'off'",
        "  mounts: /a//b",
        "  mounts:",
        "  annotations: []",
        "  annotations: [a]",
    ),
    *("  kubelet: true", "  kubelet: 'true'", "  kubelet: no", "requests: {kubelet: true, kubelet-deadline: 5}"),
    *(
        "  kubelet-deadline: 60",
        "  kubelet-deadline: 6 0",
        "  kubelet-deadline: 0x5",
        "  kubelet-dir: /k",
        "  kubelet-dir:",
    ),
]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=st.lists(st.sampled_from(LINES), max_size=6).map("\n".join))
def test_a_config_is_read_as_python_reads_it(tmp_path: Path, config: str) -> None:
    launcher = make_launcher(tmp_path, shell("dash"))
    executable(tmp_path / "other", '#!/bin/sh\necho "$0"\n')
    own = tmp_path / "config.yaml"
    own.write_text(config.replace("DIR", str(tmp_path)))
    decision = launcher.decide([f"--cdi-config={own}", "state", "id"])
    if decision != "python":
        assert_python_agrees(tmp_path, "runc", decision)
        for needle in needles(shim_settings.read(str(own))["requests"])[1:]:
            (tmp_path / "plain" / "config.json").write_bytes(b'{"a": "%b"}' % needle)
            assert launcher.decide([f"--cdi-config={own}", "create", "--bundle", "plain", "id"]) == "python", needle
