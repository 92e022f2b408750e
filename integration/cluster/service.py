"""cdi-node as a service of the node's host, without the chart: started, killed, and what it says.

Knows how cdi-node is called and where the host finds it; knows nothing of what it offers.
"""

import shutil
import time
from pathlib import Path

from integration.cluster.cluster import Cluster
from integration.packaging.conftest import TREE, nodes

# Its own id comes first: what `Host.start` gives is the process that brought it into the host.
START = 'echo $$ > "$0" && PYTHONPATH=$1 && export PYTHONPATH && shift && exec python3 -m cdi_runc.kubernetes "$@"'


class Service:
    """One process of cdi-node, until it is ended."""

    def __init__(self, cluster: Cluster, *args: str) -> None:
        """Starts it with these arguments."""
        self._host = cluster.host
        directory = self._host.shared / "services"
        directory.mkdir(exist_ok=True)
        number = len(list(directory.glob("*.log")))
        self._log = directory / f"{number}.log"
        self._pid = directory / f"{number}.pid"
        command = ("sh", "-c", START, str(self._pid), f"{_libraries(self._host.shared)}:{TREE}", *args)
        self._process = self._host.start(*command, log=self._log)

    def said(self) -> list[str]:
        """The lines that it has said."""
        return self._log.read_text().splitlines()

    def wait_until_it_says(self, text: str, times: int = 1, seconds: float = 30) -> None:
        """Waits until so many lines have the text."""
        deadline = time.monotonic() + seconds
        while sum(text in line for line in self.said()) < times:
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def end(self, signal: str = "TERM") -> None:
        """Sends the signal and waits for the end; does nothing if it has ended already."""
        if self._process.poll() is None:
            self._host.run("kill", f"-{signal}", self._pid.read_text().strip())
            self._process.wait(30)


def _libraries(shared: Path) -> Path:
    """The directory of what cdi-node imports, where the host sees it."""
    directory = shared / "nodes"
    if not directory.exists():
        shutil.copytree(nodes(), directory)
    return directory
