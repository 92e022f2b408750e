"""The parts of the run, by name, on hosts of their own."""

from collections.abc import Callable
from pathlib import Path

from integration.faults import damage, storm
from integration.faults.creates import Create
from integration.faults.engine_files import EngineFile
from integration.faults.host import make_host
from integration.faults.sweep import Scenario, fail_everywhere, kill_everywhere
from integration.findings import Part, Run

NAMES = (
    "kill-create",
    "kill-rebuild",
    "fail-create",
    "fail-rebuild",
    "kill-enable",
    "kill-disable",
    "fail-enable",
    "fail-disable",
    "snapshot",
    "files",
    "storm",
    "upgrade",
    "clock",
)


def made(root: Path) -> dict[str, Run]:
    """The parts; each makes what it needs below `root` when it runs."""

    def swept(sweep: Callable[[Scenario, Part], None], scenario: Callable[[], Scenario]) -> Run:
        return lambda part: sweep(scenario(), part)

    host = make_host(root / "host")
    return {
        "kill-create": swept(kill_everywhere, lambda: Create(host, rebuild=False)),
        "kill-rebuild": swept(kill_everywhere, lambda: Create(host, rebuild=True)),
        "fail-create": swept(fail_everywhere, lambda: Create(host, rebuild=False)),
        "fail-rebuild": swept(fail_everywhere, lambda: Create(host, rebuild=True)),
        "kill-enable": swept(kill_everywhere, lambda: EngineFile(root, "docker", "enable")),
        "kill-disable": swept(kill_everywhere, lambda: EngineFile(root, "docker", "disable")),
        "fail-enable": swept(fail_everywhere, lambda: EngineFile(root, "docker", "enable")),
        "fail-disable": swept(fail_everywhere, lambda: EngineFile(root, "docker", "disable")),
        "snapshot": lambda part: damage.snapshot(host, part),
        "files": lambda part: damage.files(host, part),
        "storm": lambda part: storm.storm(host, part),
        "upgrade": lambda part: storm.upgrade(host, part),
        "clock": lambda part: storm.clock(host, part),
    }
