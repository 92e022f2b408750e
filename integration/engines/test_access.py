"""`cdictl who` and `cdictl log` with containers of real engines."""

import json

import pytest

from integration.bundles import WIDGET
from integration.engines.cdictl import TREE, cdictl_argv
from integration.engines.conftest import SETTINGS
from integration.engines.image import NAME
from integration.engines.test_attacks import engine as engine  # fixtures
from integration.engines.test_docker import Docker
from integration.engines.test_docker import docker as docker
from integration.engines.test_podman import Podman
from integration.engines.test_podman import configured as configured
from integration.engines.test_podman import podman as podman


@pytest.mark.usefixtures("widget")
def test_who_has_the_device_and_how_it_was_asked_for(engine: Docker | Podman) -> None:
    host = engine.host
    host.write("/etc/cdi-runc/config.yaml", f"{SETTINGS}audit: file:/var/log/cdi-runc.log\n")
    marker = ["-v", "/dev/null:/var/run/cdi-devices/example.com/widget/one"]
    started = {}
    for how, options in {"asked": marker, "native": ["--device", "/dev/kmsg:/dev/widget"], "without": []}.items():
        started[how] = engine("run", "--detach", *options, NAME, "sleep", "600").stdout.strip()

    def cdictl(command: str, *arguments: str) -> dict[str, list[dict[str, object]]]:
        done = host.run(*cdictl_argv(host), command, *arguments, "-o", "json", env={"PYTHONPATH": str(TREE)})
        assert done.returncode == 0, done.stderr
        found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
        return found

    holders = {row["container"] for row in cdictl("who", WIDGET)["containers"]}
    decisions = {entry["container"]: entry for entry in cdictl("log", "--device", WIDGET)["decisions"]}
    engine("rm", "--force", *started.values())
    host.write("/etc/cdi-runc/config.yaml", SETTINGS)

    assert {how for how, container in started.items() if container in holders} == {"asked", "native"}
    assert {how for how, container in started.items() if container in decisions} == {"asked"}
    assert decisions[started["asked"]]["requests"] == [
        {"device": WIDGET, "through": "mount", "where": "/var/run/cdi-devices/example.com/widget/one"}
    ]
