"""`make demo`: one container, run by runc as it is and then by cdi-runc.

What you see is what happened: every line about the container was printed in it. It runs with the distribution's Python,
PyYAML and jsonschema alone, and removes every file that it makes.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from integration.bundles import make_bundle, oci_config

TREE = Path(__file__).parents[2]

SPEC = """\
cdiVersion: "0.5.0"
kind: example.com/widget
devices:
  - name: one
    containerEdits:
      deviceNodes: [{ path: /dev/widget, hostPath: /dev/kmsg }]
      mounts: [{ hostPath: HERE/driver, containerPath: /opt/widget, options: [ro, bind] }]
      env: [WIDGET=one]
      hooks: [{ hookName: createRuntime, path: /bin/cp, args: [cp, HERE/note, HERE/driver/hook] }]
"""
REQUEST = {"cdi.k8s.io/demo": "example.com/widget=one"}

# Runs in the container.
LOOK = """
echo "device " $([ -c /dev/widget ] && : > /dev/widget && ls -l /dev/widget || echo absent)
echo "mount   $(cat /opt/widget/driver 2> /dev/null || echo absent)"
echo "env     ${WIDGET-absent}"
echo "hook    $(cat /opt/widget/hook 2> /dev/null || echo 'did not run')"
"""

# A /run of the call's own, so that what cdi-runc remembers of the demo's settings (/run/cdi-runc) goes with it.
OWN_RUN = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh")

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
BOLD, RED, GREEN = "1", "31", "32"


def say(text: str = "", colour: str = "") -> None:
    print(f"\033[{colour}m{text}\033[0m" if colour and COLOUR else text, flush=True)


def run(command: str, bundle: Path, *options: str) -> None:
    """Run the bundle's container, and show the command and what the container printed."""
    say(f"\n  $ {command} run --bundle . demo")
    program = bundle.parent / "bin" / command if command == "cdi-runc" else command
    words = [str(program), *options, f"--root={bundle.parent}/root", "run", "--bundle", ".", "demo"]
    done = subprocess.run(
        [*OWN_RUN, *words], cwd=bundle, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    for line in done.stdout.splitlines():
        say(f"    {line}", RED if line.endswith(("absent", "did not run")) else GREEN)
    if done.returncode:
        sys.exit(f"demo: {shlex.join(words)} failed: {done.stderr.strip()}")


def install(here: Path) -> None:
    """Put cdi-runc into HERE/bin, with a copy of the library, so that none of its byte code comes into this tree."""
    shutil.copytree(TREE / "cdi_runc", here / "lib/cdi_runc", ignore=shutil.ignore_patterns("__pycache__"))
    bake = [str(TREE / "packaging/bake"), sys.executable, sys.executable, str(here / "lib")]
    (here / "bin").mkdir()
    with (here / "bin/cdi-runc").open("wb") as launcher:
        subprocess.run(bake, stdout=launcher, check=True, timeout=60)
        os.fchmod(launcher.fileno(), 0o755)


def added(old: object, new: object, path: str = "") -> Iterator[str]:
    """What `new` has that `old` has not, a line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in new:
            yield from added(old.get(key, type(new[key])()), new[key], f"{path}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list):
        yield from (f"{path}[]: {json.dumps(item)}" for item in new if item not in old)
    elif old != new:
        yield f"{path}: {json.dumps(new)}"


def demo(here: Path) -> None:
    install(here)
    for name in ("cdi", "driver"):
        (here / name).mkdir()
    (here / "driver/driver").write_text("the driver's files, from the host\n")
    (here / "note").write_text("ran on the host before the container's process began\n")
    (here / "cdi/widget.yaml").write_text(SPEC.replace("HERE", str(here)))
    (here / "settings.yaml").write_text(json.dumps({"spec-dirs": [f"{here}/cdi"]}))
    bundle = make_bundle(here / "bundle", oci_config(["sh", "-c", LOOK], REQUEST))
    config = bundle / "config.json"
    before = json.loads(config.read_text())

    say("A CDI spec, which a vendor puts into /etc/cdi, says what a device needs in a container:", BOLD)
    say("\n" + "".join(f"    {line}\n" for line in SPEC.replace("HERE", "...").splitlines()))
    say("A container asks for that device by its name, in the annotations of its config.json:", BOLD)
    say(f"\n    {json.dumps(REQUEST)}\n")
    say("runc knows nothing of CDI:", BOLD)
    run("runc", bundle)
    say("\ncdi-runc makes the edits and hands over to runc:", BOLD)
    run("cdi-runc", bundle, f"--cdi-config={here}/settings.yaml")
    say("\nThat is all that it did, to config.json:", BOLD)
    say()
    for line in added(before, json.loads(config.read_text())):
        say(f"    + {line.replace(str(here), '...')}", GREEN)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("demo: a container with a device needs root: sudo make demo")
    if missing := [module for module in ("yaml", "jsonschema") if find_spec(module) is None]:
        sys.exit(f"demo: {sys.executable} has no {' and no '.join(missing)}: install PyYAML and jsonschema for it")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="cdi-runc-demo.") as directory:
        try:
            demo(Path(directory))
        except KeyboardInterrupt:
            sys.exit(130)
