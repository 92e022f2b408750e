"""Spec files, configs and bundles to measure on: a tiny host, a large one, Jetsons; and a stub for the runtime."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

# Real specs of four Jetsons, as a large vendor's tool generates them; made up where the variable names no folder.
REAL_SPECS = os.environ.get("CDI_RUNC_REAL_SPECS", "")

SMALL = "vendor.com/gpu=0"


@dataclass(frozen=True)
class Host:
    """Spec files with a config that names them, and the device that a container of the host asks for."""

    config: Path
    device: str


def make_host(root: Path, specs: dict[str, str], device: str, comment: str = "") -> Host:
    """A host with these spec files, by file name."""
    directory = root / "cdi"
    directory.mkdir(parents=True)
    for name, text in specs.items():
        (directory / name).write_text(text)
    config = root / "config.yaml"
    config.write_text(f"{comment}spec-dirs: [{directory}]\n")
    return Host(config, device)


def small_spec(vendor: str = "vendor.com", devices: int = 1) -> str:
    """A spec of a few lines: a node, a mount, a variable and a hook for each device."""
    edits = {
        "env": ["VENDOR=yes"],
        "deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/null"}],
        "mounts": [{"hostPath": "/usr", "containerPath": "/opt/vendor", "options": ["ro", "bind"]}],
        "hooks": [{"hookName": "createRuntime", "path": "/bin/true"}],
    }
    listed = [{"name": str(number), "containerEdits": edits} for number in range(devices)]
    return json.dumps({"cdiVersion": "0.6.0", "kind": f"{vendor}/gpu", "devices": listed})


def jetson_specs() -> dict[str, str]:
    """Four specs of 3,000 lines each, by file name, whose nodes are all /dev/null; every one has a kind of its own."""
    real = sorted(Path(REAL_SPECS).glob("*.yaml")) if REAL_SPECS else []
    texts = [path.read_text() for path in real[:4]] or [_made_up_jetson()] * 4
    return {f"jetson{number}.yaml": _harmless(text, f"jetson{number}.com/gpu") for number, text in enumerate(texts)}


def _harmless(text: str, kind: str) -> str:
    text = re.sub(r"^kind: .*$", f"kind: {kind}", text, count=1, flags=re.MULTILINE)
    return re.sub(r"^( *)- path: (/dev/.*)$", r"\1- path: \2\n\1  hostPath: /dev/null", text, flags=re.MULTILINE)


def _made_up_jetson() -> str:
    library = "/usr/lib/aarch64-linux-gnu/vendor/lib{}.so.1"
    mounts = [
        {
            "hostPath": library.format(n),
            "containerPath": library.format(n),
            "options": ["ro", "nosuid", "nodev", "bind"],
        }
        for n in range(400)
    ]
    links = [word for n in range(150) for word in ("--link", f"../vendor/lib{n}.so.1::{library.format(n)[:-2]}")]
    edits = {
        "deviceNodes": [{"path": f"/dev/nvhost-{n}"} for n in range(50)],
        "mounts": mounts,
        "hooks": [{"hookName": "createContainer", "path": "/usr/bin/ctk", "args": ["ctk", *links]}],
    }
    spec = {"cdiVersion": "0.5.0", "kind": "k", "devices": [{"name": n, "containerEdits": edits} for n in ("0", "all")]}
    return yaml.safe_dump(spec, sort_keys=False)


def write_policy(root: Path, rules: int) -> None:
    """A policy of so many rules, of which the last is the only one that is about the devices of the host."""
    others = [
        {"match": {"device": f"vendor{number}.com/gpu=*", "namespace": ["ml", "ci-*"]}, "action": "deny"}
        for number in range(rules - 1)
    ]
    last = {"match": {"device": "*", "through": "annotation"}, "action": "allow", "limits": {"hooks": ["/bin/*"]}}
    path = root / "policy.yaml"
    path.write_text(yaml.safe_dump({"rules": [*others, last]}))
    path.chmod(0o644)


def a_device_of(spec: str) -> str:
    """The qualified name of a spec's first device."""
    found = yaml.safe_load(spec)
    return f"{found['kind']}={found['devices'][0]['name']}"


def make_bundle(path: Path, config: dict[str, object], device: str | None) -> tuple[Path, bytes]:
    """A bundle whose config.json is as long as Docker's, and that text, for putting it back."""
    path.mkdir(parents=True)
    annotations = {"cdi.k8s.io/bench": device} if device else {"org.example/name": "bench"}
    own: dict[str, str] = config.get("annotations", {})  # type: ignore[assignment]
    calls = [{"names": [f"call{n}" for n in range(400)], "action": "SCMP_ACT_ALLOW", "includes": {}, "excludes": {}}]
    linux = {**config.get("linux", {}), "maskedPaths": ["/proc/acpi"], "x-seccomp-of-like-size": calls}  # type: ignore[dict-item]
    text = json.dumps({**config, "annotations": {**annotations, **own}, "linux": linux}).encode()
    (path / "config.json").write_bytes(text)
    return path, text


def compile_stub(directory: Path) -> Path:
    """A static C program to stand in the runtime's place: it prints the peak memory (KiB) of the process it is in."""
    source, program = directory / "stub.c", directory / "stub"
    source.write_text(
        "#include <stdio.h>\n#include <sys/resource.h>\n"
        'int main(void) { struct rusage u; getrusage(RUSAGE_SELF, &u); return printf("%ld\\n", u.ru_maxrss) < 0; }\n'
    )
    compiler: Sequence[str] = [shutil.which("cc") or "gcc", "-O2", "-static", "-o", str(program), str(source)]
    subprocess.run(compiler, check=True, timeout=300)
    return program
