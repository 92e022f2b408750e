"""Damaged files of ours: each bit and each length of a snapshot, and of the frozen code."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cdi_runc.host import builder
from cdi_runc.host.snapshot import Damaged, Snapshot
from cdi_runc.shim.decision import decide
from cdi_runc.shim.outcome import outcome
from integration.bundles import oci_config
from integration.faults.host import DEVICE, STATE, Host
from integration.findings import Part

CONFIG: dict[str, Any] = dict(oci_config(["sh"], {"cdi.k8s.io/test": DEVICE}))


def snapshot(host: Host, part: Part) -> None:
    """Every bit and every length in this process, then spliced ones for as long as there is time."""
    good = builder.build(str(host.config))
    expected = _made(good)
    if expected is None:
        raise RuntimeError("the good snapshot is not used")
    cases = [*_flipped(good), *_cut(good)]
    part.notes.append(
        f"a snapshot of {len(good)} bytes: {len(cases)} with a bit turned or an end missing, then spliced"
    )
    if part.short:
        cases = part.choose.sample(cases, min(len(cases), 2000))
    for what, data in cases:
        _judge(part, what, data, expected)
    while part.has_time() and not part.short:
        for _ in range(100):
            what, data = _spliced(good, part.choose)
            _judge(part, what, data, expected)


def _judge(part: Part, what: str, data: bytes, expected: str) -> None:
    part.tried += 1
    try:
        made = _made(data)
    except Exception as fault:
        part.findings.append(f"{what}: {type(fault).__name__}: {fault}")
        return
    part.expect(made in (None, expected), f"{what}: wrong edits: {made}")


def _made(data: bytes) -> str | None:
    """The config that a container gets by this snapshot; None where it is damaged or no longer fresh."""
    try:
        known = Snapshot(lambda start, size: data[start : start + size])
        if not known.is_fresh():
            return None
        decision = decide(CONFIG, "create", known)
    except Damaged:
        return None
    return json.dumps(outcome(copy.deepcopy(CONFIG), decision.groups, lambda: False))


def _flipped(good: bytes) -> Iterator[tuple[str, bytes]]:
    for place in range(len(good)):
        for bit in range(8):
            yield f"bit {bit} of byte {place}", _with(good, place, good[place] ^ (1 << bit))


def _cut(good: bytes) -> Iterator[tuple[str, bytes]]:
    for size in range(len(good)):
        yield f"cut after {size} bytes", good[:size]


def _with(good: bytes, place: int, byte: int) -> bytes:
    return good[:place] + bytes([byte]) + good[place + 1 :]


def _spliced(good: bytes, choose: random.Random) -> tuple[str, bytes]:
    start, end, to = (choose.randrange(len(good)) for _ in range(3))
    start, end = min(start, end), max(start, end)
    ways: list[Callable[[], bytes]] = [
        lambda: good[:to] + good[start:end] + good[to:],
        lambda: good[:to] + good[start:end] + good[to + end - start :],
        lambda: good[:start] + good[end:],
        lambda: good[:start] + bytes(end - start) + good[end:],
        lambda: good[:start] + choose.randbytes(end - start) + good[end:],
    ]
    way = choose.randrange(len(ways))
    return f"splice {way} of {start}, {end}, {to}", ways[way]()


def files(host: Host, part: Part) -> None:
    """The snapshot and the frozen code as files, by real creates: bits and lengths by chance, all mended."""
    bundle, old = host.bundle()
    config = bundle / "config.json"
    host.call(bundle)
    good = config.read_bytes()
    state = next(path for path in STATE.iterdir() if path.name.startswith("snapshot"))
    part.notes.append(f"the frozen code has {host.frozen.stat().st_size} bytes")
    while part.has_time():
        for path in (state, host.frozen):
            before = path.read_bytes()
            what, data = _chosen(before, part.choose)
            path.write_bytes(data)
            for path_of in bundle.iterdir():
                path_of.unlink()
            config.write_bytes(old)
            host.started(bundle)
            done = host.call(bundle)
            part.tried += 1
            whole = done.returncode == 0 and host.started(bundle) and config.read_bytes() == good
            part.expect(whole, f"{_kind(path)}, {what}: status {done.returncode}: {done.stderr.strip()[-300:]}")
            part.expect("Traceback" not in done.stderr, f"{_kind(path)}, {what}: a traceback: {done.stderr[-300:]}")
            if path == host.frozen and data[:4] + data[8:] != before[:4] + before[8:]:  # 4 to 8 mean nothing
                part.expect(path.read_bytes() != data, f"{_kind(path)}, {what}: it is not mended")


def _kind(path: Path) -> str:
    return "the snapshot" if path.parent == STATE else "the frozen code"


def _chosen(good: bytes, choose: random.Random) -> tuple[str, bytes]:
    place = choose.randrange(len(good))
    if choose.random() < 0.3:
        return f"cut after {place} bytes", good[:place]
    bit = choose.randrange(8)
    return f"bit {bit} of byte {place}", _with(good, place, good[place] ^ (1 << bit))
