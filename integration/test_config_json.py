"""config.json after an injection: nothing lost that was in it, and whole at every moment."""

import json
import os
import random
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from integration.bundles import REQUEST, oci_config
from integration.conftest import Stub
from tests.processes import ending


def write(bundle: Path, config: Mapping[str, object] | str) -> Path:
    bundle.mkdir(exist_ok=True)
    (bundle / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return bundle


def read(bundle: Path) -> Any:
    return json.loads((bundle / "config.json").read_bytes())


@pytest.mark.parametrize(
    "text",
    [
        "18446744073709551615",
        "-9223372036854775808",
        "1e2",
        "0.1",
        "-0.0",
        "1.7976931348623157e308",
        "5e-324",
        "1e999",
        "0.1000000000000000055511151231257827",
        "123456789012345678901234567890",
        "null",
        "[[], {}, [null]]",
        '"gr\u00f6\u00dfe \u5927 \U0001f389"',
        r'"\ud800 alone, \udc00\ud83d out of order"',
        r'"\u0000\u001f\u007f\u2028 \" \\ \/"',
        '{"": {"a b": 1}, "cdi.k8s.io/": 2}',
    ],
)
def test_what_is_not_ours_survives(stub: Stub, tmp_path: Path, text: str) -> None:
    whole = json.dumps(oci_config(["true"], REQUEST) | {"vendorExtension": {"deep": "HERE"}, "hooks": {}})
    bundle = write(tmp_path / "bundle", whole.replace('"HERE"', text))
    assert stub.create(bundle).returncode == 0
    after = read(bundle)
    assert "WIDGET=yes" in after["process"]["env"]
    assert repr(after["vendorExtension"]) == repr({"deep": json.loads(text)})


def test_a_lone_surrogate_survives_beside_what_is_injected(stub: Stub, tmp_path: Path) -> None:
    config: dict[str, Any] = oci_config(["true"], REQUEST)
    config["process"]["env"].append("ODD=\ud800\u00e9")
    bundle = write(tmp_path / "bundle", config)
    assert stub.create(bundle).returncode == 0
    assert read(bundle)["process"]["env"] == ["PATH=/bin", "ODD=\ud800\u00e9", "WIDGET=yes"]


def test_limits_beside_the_injected_device_rule_survive(stub: Stub, tmp_path: Path) -> None:
    config: dict[str, Any] = oci_config(["true"], REQUEST)
    config["linux"]["resources"] |= {"unified": {"memory.max": "max"}, "memory": {"limit": 18446744073709551615}}
    bundle = write(tmp_path / "bundle", config)
    assert stub.create(bundle).returncode == 0
    resources = read(bundle)["linux"]["resources"]
    assert resources["unified"] == {"memory.max": "max"}
    assert resources["memory"] == {"limit": 18446744073709551615}
    assert resources["devices"][0] == config["linux"]["resources"]["devices"][0]
    assert len(resources["devices"]) == 2


def test_mode_and_owner_are_kept_and_nothing_else_appears(stub: Stub, tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", oci_config(["true"], REQUEST))
    path = bundle / "config.json"
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    before = path.stat()
    assert stub.create(bundle).returncode == 0
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino  # replaced, not written into
    kept = [".config.json.after-cdi-runc", ".config.json.before-cdi-runc"]  # for a second run of the bundle
    assert sorted(os.listdir(bundle)) == [*kept, "config.json"]


def test_the_arguments_reach_the_runtime_as_they_came(stub: Stub, tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", oci_config(["true"], REQUEST))
    args = ["--root", "/nowhere", "create", "--bundle", str(bundle), "--pid-file=", "a b * ' \""]
    subprocess.run(stub.command(*args), check=True, timeout=60)
    assert stub.arguments() == args


def test_a_kill_leaves_the_old_or_the_new_config(stub: Stub, tmp_path: Path) -> None:
    config: dict[str, Any] = oci_config(["true"], REQUEST)
    # Large, so that reading and writing take their share of the time.
    config["process"]["env"] += [f"FILLER_{i}={i:0100}" for i in range(10_000)]
    bundle = write(tmp_path / "bundle", config)
    path = bundle / "config.json"
    old = path.read_bytes()
    started = time.monotonic()
    stub.create(bundle)
    whole_time = time.monotonic() - started
    new = path.read_bytes()
    assert new != old

    seen = {old: 0, new: 0}
    moments = random.Random(1)
    for _ in range(200):
        path.write_bytes(old)
        with ending(
            subprocess.Popen(stub.command("create", "--bundle", str(bundle), "box"), stderr=subprocess.DEVNULL)
        ):
            time.sleep(moments.uniform(0, whole_time))
        found = path.read_bytes()
        assert found in seen, f"{len(found)} bytes; the old has {len(old)}, the new {len(new)}"
        seen[found] += 1
    # Were one of them never seen, the moments would have been badly chosen.
    assert min(seen.values()) > 0
