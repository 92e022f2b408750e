"""A create of which one system call is its last, or fails; with a fresh snapshot, and with one to be made anew."""

import os

from integration.faults.host import ENVIRON, STATE, Host, names_in, spec
from integration.faults.sweep import Scenario
from integration.faults.tracing import Ended, Fault, command, traced


class Create(Scenario):
    """One container on a host. `rebuild`: its spec has changed, so that the create makes the snapshot anew."""

    def __init__(self, host: Host, rebuild: bool) -> None:
        self._host, self._rebuild = host, rebuild
        self._bundle, self._old = host.bundle()
        self._config = self._bundle / "config.json"
        self._number, self._is_known = 0, False
        self._news: bytes = b""
        self._rewrite()
        self.prepare()
        self._must_start("a first create")
        self._beside = names_in(self._bundle)
        self._state = names_in(STATE)
        self._is_known = True

    def prepare(self) -> None:
        self._host.started(self._bundle)
        for path in self._bundle.iterdir():
            path.unlink()
        self._config.write_bytes(self._old)
        if self._rebuild:
            self._number += 1
            self._rewrite()

    def run(self, fault: Fault | None) -> Ended:
        return traced(command(self._host.create(self._bundle), ENVIRON), fault, self._host.is_runtime)

    def judge(self, ended: Ended, fault: Fault) -> list[str]:
        started, now = self._host.started(self._bundle), self._read()
        found = []
        if now != self._old and not self._is_new(now):
            found.append("config.json is neither the old nor the new one")
        if started and not self._is_new(now):
            found.append("the container was started without its device")
        if fault.error and not started:
            found += self._refused_badly(ended, now)
        if self._rebuild:  # so that the next one rebuilds too, and cleans up what this one left
            self._rewrite()
        found += self._must_start("the next create")
        left = {*names_in(self._bundle)} - {*self._beside}
        if left:
            found.append(f"left in the bundle: {sorted(left)}")
        left = {*names_in(STATE)} - {*self._state} - {"refused"}
        if left:
            found.append(f"left in {STATE}: {sorted(left)}")
        return found

    def _refused_badly(self, ended: Ended, now: bytes) -> list[str]:
        found = []
        if ended.hit_file == str(self._host.launcher):
            return []  # to sh, a script that it cannot read is one that ends
        if ended.status == 0:
            found.append("exit status 0, and the container was not started")
        if now != self._old:
            found.append("config.json is changed, and the container was not started")
        if not ended.said.strip() and str(ended.hit) not in ("write", "writev") and ended.status < 128:
            found.append("no word of why the container was not started")
        return found

    def _rewrite(self) -> None:
        new = self._host.root / "new.json"
        new.write_text(spec(self._number))
        os.replace(new, self._host.specs / "vendor.json")

    def _read(self) -> bytes:
        try:
            return self._config.read_bytes()
        except FileNotFoundError:
            return b""

    def _is_new(self, now: bytes) -> bool:
        """Whether config.json has all edits, and what was there before."""
        return now.endswith(b"}") and f'"NUMBER={self._number}"'.encode() in now and self._unnumbered(now) == self._news

    def _unnumbered(self, now: bytes) -> bytes:
        return now.replace(f"NUMBER={self._number}".encode(), b"NUMBER=0")

    def _must_start(self, which: str) -> list[str]:
        done = self._host.call(self._bundle)
        started = self._host.started(self._bundle)
        if not self._news and started:
            self._news = self._unnumbered(self._read())
        if done.returncode == 0 and started and self._is_new(self._read()) and done.stderr == "":
            return []
        if not self._is_known:
            raise RuntimeError(f"{which} fails without any fault: {done.stderr.strip()}")
        return [f"{which} fails (status {done.returncode}, started: {started}): {done.stderr.strip()[:200]}"]
