"""What `make test` installs, and what it says before it does."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

DEV = Path(__file__).resolve().parents[2] / "packaging/dev"


def say(script: str, env: Mapping[str, str]) -> str:
    """What a script of packaging/dev prints."""
    done = subprocess.run([DEV / script], env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, timeout=60)
    return done.stdout.decode() + done.stderr.decode()


def wanted(script: str, variable: str) -> set[str]:
    found = re.search(rf"(?m)^{variable}='([^']*)'", (DEV / script).read_text())
    assert found
    return set(found[1].split())


def test_this_machines_engines_are_asked_for_as_the_newer_ones_are() -> None:
    """Debian 13's docker.io only recommends docker-cli and docker-buildx. Debian 12's compose is another program."""
    ours = wanted("install-engines", "wanted")
    newer = wanted("install-engines-newer", "packages")
    assert {name for name in newer if name.startswith("docker")} - {"docker-compose"} <= ours


def test_a_package_that_the_distribution_only_names_is_left_out(tmp_path: Path) -> None:
    """Ubuntu 24.04 has no criu, but packages that name it."""
    scripts = {
        "dpkg-query": "#!/bin/sh\nexit 1\n",
        "apt-cache": '#!/bin/sh\n[ "$2" = lxc ] && has=1:5.0 || has="(none)"\necho "  Candidate: $has"\n',
        "apt-get": "#!/bin/sh\n",
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    said = say("install-engines", {"PATH": f"{tmp_path}:/usr/bin:/bin", "CDI_RUNC_INSTALLED": str(tmp_path / "new")})
    assert "this distribution has no criu: its tests will be skipped" in said
    assert re.search(r"(?m)(installing|missing:) lxc\b(?!.*criu)", said)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is told to become root")
def test_a_first_run_is_announced(tmp_path: Path) -> None:
    said = say("announce", {"CDI_RUNC_ROOTS": str(tmp_path)})
    assert re.search(r"\d minutes.*\d GB", said)
    assert "installs Docker, Podman, containerd" in said
    assert "make clean-all" in said
