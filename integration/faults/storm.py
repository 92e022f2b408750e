"""Many creates at once, while what they read is written anew: specs, policy, settings, and cdi-runc itself."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from integration.faults.host import ENVIRON, TREE, Host, spec
from integration.findings import Part

CREATES = 200
OTHER = "0.0.9"  # the version that the upgrade comes from, and goes back to


class Writer:
    """Writes the files of a host anew, by rename and in place; the spec has another number each time."""

    def __init__(self, host: Host) -> None:
        self._host, self.number = host, 0

    def write(self, in_place: bool) -> None:
        """Write all three. The number counts once its spec is there."""
        number = self.number + 1
        new = {
            self._host.config: f"# {number}\nspec-dirs: [{self._host.specs}]\n",
            self._host.policy: f'rules:\n- match: {{device: "*", uid: {number}}}\n  action: deny\n',
            self._host.specs / "vendor.json": spec(number),
        }
        for path, text in new.items():
            if in_place:
                path.write_text(text)
            else:
                other = path.parent / "new"
                other.write_text(text)
                other.chmod(0o644)
                other.replace(path)
        self.number = number


@contextmanager
def _repeated(work: Callable[[], None], pause: float) -> Iterator[None]:
    """Do the work again and again, beside."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(pause):
            work()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(300)


def storm(host: Host, part: Part) -> None:
    """Creates at once: while files are renamed every second, every 0.3 s, and are written in place every 0.3 s."""
    writer = Writer(host)
    writer.write(False)
    number = 30 if part.short else CREATES
    ways = [(0.3, True)] if part.short else [(1.0, False), (0.3, False), (0.3, True)]
    for pause, in_place in ways:
        bundles = [host.bundle()[0] for _ in range(number)]
        oldest = writer.number
        with _repeated(lambda in_place=in_place: writer.write(in_place), pause):  # type: ignore[misc]
            _create_at_once(host, part, bundles)
        how = f"every {pause} s{' in place' if in_place else ''}"
        wrong = sum(_is_wrong(bundle, range(oldest, writer.number + 2)) for bundle in bundles)
        part.notes.append(f"{number - wrong} of {number} whole while files change {how}")
        part.expect(wrong == 0, f"{wrong} of {number} configs are not whole, or old, while files change {how}")
    host.policy.unlink()


def _create_at_once(host: Host, part: Part, bundles: list[Path]) -> None:
    with tempfile.TemporaryDirectory(dir=host.root) as said:
        children = []
        for bundle in bundles:
            with open(f"{said}/{bundle.name}", "wb") as log:
                command = host.create(bundle)
                children.append(
                    subprocess.Popen(command, env=ENVIRON, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                )
        for bundle, child in zip(bundles, children, strict=True):
            status = child.wait(timeout=300)
            part.tried += 1
            words = Path(f"{said}/{bundle.name}").read_text()
            fine = status == 0 and words == "" and host.started(bundle)
            part.expect(fine, f"a create in the storm, status {status}: {words.strip()[-300:]}")


def _is_wrong(bundle: Path, numbers: range) -> bool:
    text = (bundle / "config.json").read_text()
    parts = ('"/dev/vendor0"', '"/opt/vendor"', '"createRuntime"', "4711")
    return not (text.endswith("}") and all(each in text for each in parts)) or not any(
        f'"NUMBER={number}"' in text for number in numbers
    )


def upgrade(host: Host, part: Part) -> None:
    """`make install` of two versions in turn, again and again, while containers are created."""
    if part.short:
        part.notes.append(
            "not tried: one installation takes longer (integration/packaging/test_make_install.py has a test)"
        )
        return
    prefix = host.root / "usr"
    trees = [TREE, _other_version(host.root / "other")]
    _install(trees[1], prefix)
    launcher, installs = prefix / "bin/cdi-runc", 0
    failed: list[str] = []

    def install() -> None:
        nonlocal installs
        said = _install(trees[installs % 2], prefix)
        failed.extend([said] if said else [])
        installs += 1

    bundle, old = host.bundle()
    with _repeated(install, 0):
        while part.has_time() or installs < 1:
            (bundle / "config.json").write_bytes(old)
            command = [str(launcher), *host.create(bundle)[1:]]
            done = subprocess.run(
                command, env=ENVIRON, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
            )
            part.tried += 1
            text = (bundle / "config.json").read_text()
            whole = done.returncode == 0 and done.stderr == "" and host.started(bundle) and '"/dev/vendor0"' in text
            part.expect(whole, f"during an upgrade, status {done.returncode}: {done.stderr.strip()[-300:]}")
    part.notes.append(f"{installs} installations meanwhile")
    part.findings += [f"an installation fails: {said}" for said in failed]


def _other_version(tree: Path) -> Path:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=TREE, capture_output=True, text=True, check=True, timeout=60)
    for name in names.stdout.split("\0"):
        if name.startswith(("cdi_runc/", "packaging/", "docs/", "LICENSE", "README")) and (TREE / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TREE / name, tree / name)
    about = tree / "cdi_runc/__init__.py"
    text = about.read_text()
    version = next(line for line in text.splitlines() if line.startswith("__version__ = "))
    about.write_text(text.replace(version, f'__version__ = "{OTHER}"'))
    return tree


def _install(tree: Path, prefix: Path) -> str:
    """Install from the tree; what it complained of."""
    environ = {**os.environ, "PREFIX": str(prefix), "DESTDIR": "", "PYTHON": sys.executable}
    done = subprocess.run([tree / "packaging/install"], env=environ, capture_output=True, text=True, timeout=300)
    return "" if done.returncode == 0 else done.stderr.strip()


def clock(host: Host, part: Part) -> None:
    """The clock was set back or forth: the times of files are in the future, in the past, odd, or never change."""
    now = time.time_ns()
    times = [0, 1, now, now + 86400 * 10**9, now - 86400 * 10**9, now + 10**18, (2**31 + 5) * 10**9, 2**33 * 10**9]
    writer = Writer(host)
    writer.write(False)
    bundle, old = host.bundle()
    spec_file = host.specs / "vendor.json"
    while part.has_time() or part.tried < len(times):
        writer.write(in_place=part.choose.random() < 0.5)
        chosen = {path: part.choose.choice(times) for path in (spec_file, host.specs, host.config, host.frozen)}
        for path, when in chosen.items():
            os.utime(path, ns=(when, when))
        (bundle / "config.json").write_bytes(old)
        for path in bundle.glob(".config*"):
            path.unlink()
        done = host.call(bundle)
        part.tried += 1
        is_new = f'"NUMBER={writer.number}"' in (bundle / "config.json").read_text()
        whole = done.returncode == 0 and done.stderr == "" and host.started(bundle) and is_new
        part.expect(whole, f"with the times {sorted(chosen.values())}: {done.returncode}: {done.stderr.strip()[-300:]}")
    host.policy.unlink()
