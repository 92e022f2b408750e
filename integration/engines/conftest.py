"""The machines to spoil: one with this machine's engines, one with Debian 13's; in each, cdi-runc, specs, settings."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.bundles import make_bundle, oci_config, static_busybox
from integration.engines.devices import WRONG, Widget
from integration.engines.host import Host
from integration.engines.image import make_image

TREE = Path(__file__).resolve().parents[2]
NEWER = Path(os.environ.get("CDI_RUNC_NEWER", "/var/cache/cdi-runc/engines-newer"))

# Both further sources of requests are switched on, since Docker 20.10 has no other.
SETTINGS = "requests:\n  mounts: /var/run/cdi-devices\n  env: CDI_DEVICES\n"

# vfs asks nothing of the file system below, which is a stack of others here. A plain user's places are his own. It is
# there before Podman is called for the first time: Podman 4.9 keeps the driver that it has found then.
STORAGE = """[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""

# One device is for nobody, in the administrator's own words.
POLICY = """\
rules:
- match: {device: "example.com/vault=*"}
  action: deny
  message: ask Ada for the vault
"""


@pytest.fixture(scope="session", params=["machine", "newer"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A machine to spoil, in which cdi-runc is on PATH."""
    newer = request.param == "newer"
    if newer and not (NEWER / ".complete").exists():
        pytest.skip(f"no Debian 13 in {NEWER} (make engines-newer)")
    host = make_host(tmp_path_factory.mktemp("shared"), newer)
    yield host
    host.close()


def make_host(shared: Path, newer: bool) -> Host:
    """The machine, to be closed by the caller; skips the test where none can be made."""
    if os.geteuid() != 0:
        pytest.skip("engines with containers that get devices need root")
    if static_busybox() is None:
        pytest.skip("busybox-static is not installed (make engines)")
    if not (TREE / ".venv/bin/cdi-runc").exists():
        pytest.skip("no cdi-runc in .venv/bin (make venv)")
    # A plain user of the host reads in it too.
    shared.chmod(0o755)
    try:
        host = Host(NEWER if newer else Path("/"), shared, TREE)
    except RuntimeError as error:
        pytest.skip(f"no machine to spoil can be made here: {error}")
    install_shim(host, newer)
    host.write("/etc/cdi-runc/config.yaml", SETTINGS)
    host.write("/etc/cdi-runc/policy.yaml", POLICY)
    host.write("/etc/containers/storage.conf", STORAGE)
    host.write("/etc/containers/policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}')
    return host


def install_shim(host: Host, newer: bool) -> None:
    """Puts cdi-runc into /usr/local/bin: this tree's own, or for Debian 13 one that runs on the Python there."""
    home = "/opt/cdi-runc" if newer else str(TREE / ".venv")
    if newer:
        host.path("/opt/cdi-runc/bin").mkdir(parents=True)
        host.path("/opt/cdi-runc/bin/python").symlink_to("/usr/bin/python3")
        assert host.run(f"{TREE}/packaging/dev/link-launcher", home).returncode == 0
    for name in ("cdi-runc", "cdi-crun"):
        host.path(f"/usr/local/bin/{name}").symlink_to(f"{home}/bin/{name}")


@pytest.fixture(scope="session")
def the_widget(host: Host) -> Widget:
    """The widget of the host."""
    return make_widget(host)


def make_widget(host: Host) -> Widget:
    """The widget, whose spec and whose faulty neighbours stand in the host's /etc/cdi."""
    widget = Widget(host.shared / "widget")
    for name, text in widget.specs().items():
        host.write(f"/etc/cdi/{name}", text)
    return widget


@pytest.fixture
def widget(the_widget: Widget) -> Widget:
    """The widget, with no memory of the containers of other tests."""
    the_widget.forget()
    return the_widget


@pytest.fixture(scope="session")
def image(host: Host) -> Path:
    """The archive of an image, where the host finds it too."""
    directory = host.shared / "image"
    directory.mkdir()
    return make_image(directory)


@pytest.fixture(scope="session")
def complaints(host: Host, the_widget: Widget) -> dict[str, str]:
    """The complaint about each device in WRONG, by kind of fault."""
    return {kind: complaint(host, kind) for kind in WRONG}


def complaint(host: Host, kind: str) -> str:
    """What the shim itself says of a device in WRONG: the line that a user must see whole."""
    device, named = WRONG[kind]
    config = oci_config(["true"], {"cdi.k8s.io/test": device})
    bundle = make_bundle(host.shared / f"bundle-{kind.replace(' ', '-')}", config)
    done = host.run("cdi-runc", "create", "--bundle", str(bundle), "none")
    line = done.stderr.removesuffix("\n")
    assert done.returncode == 1
    assert line.startswith("cdi-runc: ")
    assert "\n" not in line
    assert [word for word in named if word not in line] == []
    return line
