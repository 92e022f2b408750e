"""cdictl on real containers of runc and crun: what it says of faults that were planted, and of what works."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cdi_runc.ctl import main
from cdi_runc.ctl.why import containers
from integration.bundles import REQUEST, WIDGET
from integration.conftest import BIN, Runtime

SLEEP = ("sleep", "60")


@pytest.fixture
def explain(settings: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs `cdictl explain ...` on a host with this runtime's containers, and gives the lines back."""
    monkeypatch.setattr(containers, "ROOTS", (str(runtime.root),))

    def run(*args: str | Path) -> list[str]:
        result = CliRunner().invoke(main, ["--config", str(settings), "explain", *map(str, args)])
        assert result.exit_code == result.stdout.startswith("problem: "), result.output
        return result.stdout.splitlines()

    return run


@pytest.fixture
def started(runtime: Runtime, bundle: Callable[..., Path]) -> Iterator[Callable[..., Path]]:
    """Starts the container `box` of the bundle, through the shim or not, and gives the bundle back."""

    def start(shim: bool, **how: object) -> Path:
        directory = bundle(SLEEP, **how)
        call = runtime.shim if shim else runtime.bare
        done = call("run", "--detach", "--bundle", str(directory), "box")
        assert done.returncode == 0, done.stderr
        return directory

    yield start
    runtime.bare("delete", "--force", "box")


def test_a_container_with_its_device(started: Callable[..., Path], explain: Callable[..., list[str]]) -> None:
    started(shim=True)
    lines = explain("container", "box")
    assert lines[0] == "nothing is wrong"
    assert "  -> the edits of example.com/widget=one are in config.json" in lines
    (seen,) = [line for line in lines if "is in the running container" in line]
    assert seen.startswith("  -> /dev/widget is in the running container as c 1:11, and ")


def test_a_container_that_the_engine_made_without_cdi_runc(
    started: Callable[..., Path], explain: Callable[..., list[str]]
) -> None:
    started(shim=False)
    causes = explain("container", "box")[:3]
    assert f"problem: the edits of {WIDGET} are not in config.json: cdi-runc did not make it" in causes
    assert f"problem: /dev/widget of {WIDGET} is not in the running container" in causes


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        ({"cdi.k8s.io/test": "example.com/widget=two"}, f"defines example.com/widget=two; did you mean {WIDGET}?"),
        (
            {"cdi.k8.io/test": WIDGET},
            "annotation cdi.k8.io/test is not a request, because of its prefix; did you mean cdi.k8s.io/",
        ),
        ({"cdi.k8s.io/test": "widget=one"}, f"it has no vendor; did you mean {WIDGET}?"),
    ],
    ids=["unknown device", "key with a typo", "name with a typo"],
)
def test_requests_that_are_wrong(
    bundle: Callable[..., Path], explain: Callable[..., list[str]], request_: dict[str, str], cause: str
) -> None:
    assert any(cause in line for line in explain("bundle", bundle(SLEEP, request_))[:3])


def test_specs_in_conflict(bundle: Callable[..., Path], explain: Callable[..., list[str]], spec_dir: Path) -> None:
    (spec_dir / "copy.json").write_bytes((spec_dir / "widget.json").read_bytes())
    assert explain("bundle", bundle(SLEEP))[0].startswith(f"problem: {WIDGET} is defined twice: in ")


def test_a_spec_that_cannot_be_read(
    bundle: Callable[..., Path], explain: Callable[..., list[str]], spec_dir: Path
) -> None:
    (spec_dir / "widget.json").unlink()
    (spec_dir / "widget.json").symlink_to("gone")
    cause = f"defines {WIDGET}; not used: {spec_dir}/widget.json: cannot be read: No such file or directory"
    assert explain("bundle", bundle(SLEEP))[0].endswith(cause)


def test_the_last_refusal_is_remembered(
    runtime: Runtime, bundle: Callable[..., Path], settings: Path, spec_dir: Path
) -> None:
    directory = bundle(SLEEP, {"cdi.k8s.io/test": "example.com/widget=two"})
    assert runtime.shim("create", "--bundle", str(directory), "box").returncode == 1
    done = subprocess.run(
        [BIN / "cdictl", "--config", settings, "explain", "last", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    causes = json.loads(done.stdout)["causes"]
    assert causes[0].startswith(f"no spec file in {spec_dir} defines example.com/widget=two")


def test_diff_shows_what_the_shim_then_does(
    runtime: Runtime, bundle: Callable[..., Path], settings: Path, explain: Callable[..., list[str]]
) -> None:
    directory = bundle(SLEEP, REQUEST)

    def patch() -> list[dict[str, object]]:
        done = subprocess.run(
            [BIN / "cdictl", "--config", settings, "diff", directory, "-o", "json"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found

    promised = patch()
    assert {operation["path"] for operation in promised} >= {"/linux/devices", "/hooks", "/process/env/1"}
    assert runtime.shim("create", "--bundle", str(directory), "box").returncode == 0
    assert patch() == []
    assert any("are in config.json" in line for line in explain("bundle", directory))
