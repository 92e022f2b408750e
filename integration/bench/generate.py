"""What `cdictl generate` costs on a host of 8 GPUs with 4 partitions each, 100 USB devices and 64 virtual functions.

The host is a directory, so the figures are those of any machine. Whole processes, as the boot unit starts them.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from integration.bench.measure import Case, run_interleaved

Row = tuple[str, float, float | None]  # as in __main__

GPUS, PARTITIONS, USB_DEVICES, FUNCTIONS = 8, 4, 100, 64
REST = 5.0  # seconds for which --watch is looked at


def figures(root: Path, cdictl: str, rounds: int) -> list[Row]:
    """The rows of the table."""
    host, specs = root / "large", root / "large-cdi"
    for path, text in files():
        put(host / path.lstrip("/"), text)
    command = [cdictl, "generate", "--root", str(host), "--output-dir", str(specs)]
    first = Case("write", [*command, "--write"], lambda: shutil.rmtree(specs, ignore_errors=True))
    show = Case("show", command)
    check = Case("check", [*command, "--check"])
    run_interleaved([first, show], min(rounds, 20))
    run_interleaved([check], min(rounds, 20))
    devices = sum(path.read_text().count("- name:") for path in specs.glob("*"))
    what = f"cdictl generate, {devices} names"
    return [
        (f"{what}: the table (ms in all)", show.median, 300),
        (f"{what}: --write (ms in all)", first.median, 300),
        (f"{what}: --check, no change (ms in all)", check.median, 200),
        (f"{what}: peak memory (MiB)", peak([*command, "--diff"]) / 1024, 60),
        ("cdictl generate --watch: CPU in 5 s of rest (ms)", at_rest([*command, "--watch"]), 1),
    ]


def peak(argv: list[str]) -> int:
    """KiB of a command and its children."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
    script += " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def at_rest(argv: list[str]) -> float:
    """Milliseconds of CPU that a command that waits takes in REST seconds, once it has done its first work."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        before = -1.0
        while (now := cpu(process.pid)) != before:
            before = now
            time.sleep(0.5)
        time.sleep(REST)
        return cpu(process.pid) - before
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


def cpu(pid: int) -> float:
    """Milliseconds that a process has used (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def put(path: Path, text: str) -> None:
    """A file, or a link if the text begins with `->`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if text.startswith("->"):
        path.symlink_to(text[2:])
    else:
        path.write_text(text)


def files() -> Iterator[tuple[str, str]]:
    """The files of the host."""
    yield from ((f"/dev/{name}", "") for name in ("kfd", "nvidiactl", "nvidia-uvm"))
    yield "/sys/module/nvidia/version", "575.64.03\n"
    yield from _gpus()
    yield from _usb_devices()
    yield from _functions()


def _gpus() -> Iterator[tuple[str, str]]:
    minors = []
    for gpu in range(GPUS):
        address, place = f"0000:{gpu + 16:02x}:00.0", f"/sys/devices/pci0000:{gpu + 16:02x}/0000:{gpu + 16:02x}:00.0"
        yield f"/sys/bus/pci/drivers/nvidia/{address}", f"->{place}"
        yield f"{place}/class", "0x030200\n"
        yield f"{place}/vendor", "0x10de\n"
        yield from _node(f"{place}/drm/card{gpu}", f"dri/card{gpu}")
        yield from _node(f"{place}/drm/renderD{128 + gpu}", f"dri/renderD{128 + gpu}")
        yield f"{place}/drm/renderD{128 + gpu}/device", f"->{place}"
        yield f"/sys/class/drm/renderD{128 + gpu}", f"->{place}/drm/renderD{128 + gpu}"
        information = f"GPU UUID: \t GPU-{gpu:08d}-0000\nDevice Minor: \t {gpu}\n"
        yield f"/proc/driver/nvidia/gpus/{address}/information", information
        yield f"/dev/nvidia{gpu}", ""
        for part in range(PARTITIONS):
            yield f"/proc/driver/nvidia/capabilities/gpu{gpu}/mig/gi{part}/ci0/access", ""
            cap = 3 + 2 * (gpu * PARTITIONS + part)
            minors += [f"gpu{gpu}/gi{part}/access {cap}", f"gpu{gpu}/gi{part}/ci0/access {cap + 1}"]
            yield f"/dev/nvidia-caps/nvidia-cap{cap}", ""
            yield f"/dev/nvidia-caps/nvidia-cap{cap + 1}", ""
    yield "/proc/driver/nvidia-caps/mig-minors", "\n".join(minors)
    library = "/usr/lib/x86_64-linux-gnu"
    for number in range(60):
        yield f"{library}/libnvidia-{number}.so.575.64.03", ""
        yield f"{library}/libnvidia-{number}.so.1", f"->libnvidia-{number}.so.575.64.03"
    yield from ((f"{library}/libother{number}.so.1", "") for number in range(1000))


def _usb_devices() -> Iterator[tuple[str, str]]:
    for number in range(USB_DEVICES):
        port = f"1-{number // 10 + 1}.{number % 10 + 1}"
        place = f"/sys/devices/pci0000:00/0000:00:14.0/usb1/{port}"
        yield f"/sys/bus/usb/devices/{port}", f"->{place}"
        attributes = {"idVendor": "0403", "idProduct": "6001", "serial": f"A{number:05d}", "bDeviceClass": "00"}
        yield from ((f"{place}/{name}", f"{text}\n") for name, text in attributes.items())
        yield from _node(place, f"bus/usb/001/{number + 2:03d}")


def _functions() -> Iterator[tuple[str, str]]:
    yield "/sys/devices/pci0000:5e/0000:5e:00.0/net/eth0/type", "1\n"
    for number in range(FUNCTIONS):
        place = f"/sys/devices/pci0000:5e/0000:5e:{number // 8 + 1:02x}.{number % 8}"
        yield f"{place}/physfn", "->../0000:5e:00.0"
        yield f"{place}/net/eth0v{number}/type", "1\n"
        yield f"{place}/net/eth0v{number}/device", "->../.."
        yield f"/sys/class/net/eth0v{number}", f"->{place}/net/eth0v{number}"


def _node(place: str, name: str) -> Iterator[tuple[str, str]]:
    yield f"{place}/dev", "1:1\n"
    yield f"{place}/uevent", f"DEVNAME={name}\n"
    yield f"/dev/{name}", ""
