"""cdictl generate on a host that is a directory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from cdi_runc.ctl import main
from tests.generate.fixture_trees import grow, plant
from tests.generate.test_specs import a_usb_device

Generate = Callable[..., Result]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with KVM and two USB devices, one of which has a serial number."""
    return grow(
        tmp_path / "root",
        ["/dev/kvm", *a_usb_device("1-1", 1, "serial = A"), *a_usb_device("1-2", 2), "/run/", "/var/run -> /run"],
    )


@pytest.fixture
def generate(root: Path) -> Generate:
    """Runs `cdictl generate --root ROOT ...`."""

    def run(*args: str | Path) -> Result:
        words = ["generate", "--root", str(root), *map(str, args)]
        return CliRunner().invoke(main, words, catch_exceptions=False)

    return run


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "run/cdi").glob("*"))


def test_the_table(generate: Generate) -> None:
    assert [line.split() for line in generate().stdout.splitlines()] == [
        ["KIND", "DEVICES", "NAMES", "NODES"],
        ["host.local/kvm", "1", "kvm", "/dev/kvm"],
        ["host.local/usb", "2", "1234:abcd:A,", "1-1,", "1-2,", "all", "/dev/bus/usb/001/001,", "/dev/bus/usb/001/002"],
    ]


def test_data_are_the_specs(generate: Generate) -> None:
    found = json.loads(generate("-o", "json").stdout)
    assert [spec["kind"] for spec in found] == ["host.local/kvm", "host.local/usb"]
    assert list(yaml.safe_load_all(generate("-o", "yaml").stdout)) == found
    assert json.loads(generate("-o", "json", "kvm").stdout) == found[:1]
    assert json.loads(generate("-o", "json", "host.local/kvm").stdout) == found[:1]


def test_write_check_and_diff(generate: Generate, root: Path) -> None:
    diff = generate("--diff").stdout
    assert f"+++ {root}/run/cdi/cdictl-host.local-kvm.yaml" in diff
    assert '+kind: "host.local/kvm"' in diff
    missing = generate("--check")
    assert missing.exit_code == 1
    assert f"{root}/run/cdi/cdictl-host.local-kvm.yaml: missing" in missing.stdout
    assert generate("--write").exit_code == 0
    assert files(root) == ["cdictl-host.local-kvm.yaml", "cdictl-host.local-usb.yaml"]
    assert generate("--diff").stdout == generate("--check").stdout == generate("--write").stdout == ""
    assert generate("--check").exit_code == 0
    (root / "dev/kvm").unlink()
    (root / "dev/bus/usb/001/002").unlink()
    stale = generate("--check")
    assert stale.exit_code == 1
    assert stale.stdout.splitlines() == [
        f"{root}/run/cdi/cdictl-host.local-kvm.yaml: stale, since no device is left",
        "    - device kvm",
        f"{root}/run/cdi/cdictl-host.local-usb.yaml: stale",
        "    - device 1-2",
        "    - device all",
    ]
    assert generate("--write").exit_code == 0
    assert files(root) == ["cdictl-host.local-usb.yaml"]


def test_a_host_without_devices_is_fine(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["generate", "--root", str(tmp_path), "--write"], catch_exceptions=False)
    assert (done.exit_code, done.output) == (0, "")


def test_a_foreign_file_is_refused_and_the_others_are_written(generate: Generate, root: Path) -> None:
    grow(root, ["/run/cdi/cdictl-host.local-kvm.yaml = mine"])
    done = generate("--write")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"cdictl: {root}/run/cdi/cdictl-host.local-kvm.yaml: this file was not made by cdictl generate: move it away"
    ]
    assert files(root) == ["cdictl-host.local-kvm.yaml", "cdictl-host.local-usb.yaml"]


def test_an_output_directory_that_cannot_be(generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = generate("--write", "--output-dir", tmp_path / "file")
    assert done.exit_code == 1
    assert [line for line in done.stderr.splitlines() if "cdictl-host.local-kvm.yaml: cannot be written: " in line]
    assert "Traceback" not in done.output


def test_a_broken_recipe_is_one_line_and_the_others_are_used(generate: Generate, root: Path) -> None:
    grow(root, ["/etc/cdi-runc/recipes.d/mine.yaml = recipe: 1\\nkind: v.com/x\\nmatches: {}"])
    done = generate("--write")
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "mine.yaml:3: matches: is not a known key (did you mean match?)" in done.stderr
    assert len(files(root)) == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["tenstorent"],
            "there is no recipe and no kind 'tenstorent'; did you mean tenstorrent? (cdictl recipes lists them)",
        ),
        (["--explain", "tenstorent"], "no recipe has anything to do with 'tenstorent'; did you mean tenstorrent?"),
    ],
)
def test_a_word_that_is_none(generate: Generate, args: list[str], message: str) -> None:
    done = generate(*args)
    assert (done.exit_code, done.stderr) == (1, f"cdictl: {message}\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--write", "--check"], "give only one of --write and --check"),
        (["--diff", "--explain", "kvm"], "give only one of --diff and --explain"),
        (["--explain"], "Option '--explain' requires an argument."),
    ],
)
def test_words_that_do_not_go_together(generate: Generate, args: list[str], message: str) -> None:
    done = generate(*args)
    assert (done.exit_code, done.stderr) == (2, f"cdictl: {message} (see main generate --help)\n")


def test_explain_says_that_no_device_has_a_name(generate: Generate) -> None:
    done = generate("--explain", "host.local/usb=1-7")
    assert done.stdout
    assert done.stderr == "cdictl: no device is called host.local/usb=1-7; did you mean host.local/usb=1-2?\n"


def test_a_recipe_without_a_match_says_so_when_it_is_named(generate: Generate) -> None:
    assert generate("tpm").stderr == "cdictl: tpm: nothing matches /sys/class/tpmrm/tpmrm*\n"


@pytest.mark.parametrize(
    ("name", "result"),
    [
        (
            "host.local/usb=1-1",
            "a device, in ROOT/run/cdi/cdictl-host.local-usb.yaml once cdictl generate --write is run",
        ),
        ("1-1", "a device, in ROOT/run/cdi/cdictl-host.local-usb.yaml once cdictl generate --write is run"),
        ("tpm", "nothing matches /sys/class/tpmrm/tpmrm*"),
        ("host.local/tpm=tpmrm0", "nothing matches /sys/class/tpmrm/tpmrm*"),
        ("1-3", "no device: it has no idVendor"),
        ("1-4", "no device: /dev/bus/usb/001/004 is not there"),
        ("fuse", "the recipe is turned off by the empty file ROOT/etc/cdi-runc/recipes.d/fuse.yaml"),
        ("host.local/kvm=kvm", "a device, but ROOT/etc/cdi/kvm.yaml has this kind, so there is no file of ours"),
        ("nvidia.com/gpu=0", "the recipe is not used: the vendor's own generator is installed: /usr/bin/nvidia-ctk"),
    ],
)
def test_explain(root: Path, name: str, result: str) -> None:
    grow(root, ["/sys/bus/usb/devices/1-3/x", *a_usb_device("1-4", 4), "/etc/cdi-runc/recipes.d/fuse.yaml"])
    grow(root, ["/etc/cdi/kvm.yaml = kind: host.local/kvm", "/usr/bin/nvidia-ctk"])
    (root / "dev/bus/usb/001/004").unlink()
    words = ["--spec-dir", f"{root}/etc/cdi", "generate", "--root", str(root), "--explain", name, "-o", "json"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    told = json.loads(done.stdout)["explained"]
    assert told[0]["result"].replace(str(root), "ROOT") == result


def test_explain_for_people(generate: Generate) -> None:
    lines = generate("--explain", "kvm").stdout.splitlines()
    assert lines[:5] == [
        "recipe   kvm",
        "kind     host.local/kvm",
        "matches  /dev/kvm",
        "names    host.local/kvm=kvm",
        "node     /dev/kvm",
    ]


def test_notes_are_beside_the_data(tmp_path: Path) -> None:
    root = plant(tmp_path, "net-vf")
    done = CliRunner().invoke(main, ["generate", "--root", str(root), "-o", "json"], catch_exceptions=False)
    assert [spec["kind"] for spec in json.loads(done.stdout)] == ["host.local/net-vf"]
    assert "ens1f0v2 has the default route, so the host needs it" in done.stderr
