"""Who is who in a cluster: an authority, a certificate for each part of it, and the kubeconfig that goes with that.

Knows openssl and what a kubeconfig looks like; knows nothing of what the parts may do.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

# Nothing of /etc/ssl/openssl.cnf, whose extensions are those of an authority.
CONFIG = "[req]\ndistinguished_name = name\n[name]\n"


class Credentials:
    """The credentials of one cluster, kept in a directory: NAME.crt, NAME.key and NAME.conf for each name."""

    def __init__(self, directory: Path) -> None:
        """Makes the directory and in it the authority, `ca`."""
        self._directory = directory
        directory.mkdir()
        (directory / "openssl.cnf").write_text(CONFIG)
        self._make("ca", "-subj", "/CN=cluster", "-addext", "basicConstraints=critical,CA:TRUE")

    def certificate(self, name: str) -> str:
        """The path of the certificate with this name."""
        return str(self._directory / f"{name}.crt")

    def key(self, name: str) -> str:
        """The path of the key with this name."""
        return str(self._directory / f"{name}.key")

    def kubeconfig(self, name: str) -> str:
        """The path of the kubeconfig with this name."""
        return str(self._directory / f"{name}.conf")

    def issue(self, name: str, addresses: Sequence[str] = (), user: str = "", group: str = "") -> None:
        """Makes a certificate: for a server it says its addresses, for a client its user and its group.

        An address is written as openssl has it: `IP:10.96.0.1`, `DNS:kubernetes`.
        """
        subject = (f"/O={group}" if group else "") + f"/CN={user or name}"
        names = ["-addext", f"subjectAltName={','.join(addresses)}"] if addresses else []
        self._make(name, "-subj", subject, *names, "-CA", self.certificate("ca"), "-CAkey", self.key("ca"))

    def configure(self, name: str, server: str) -> None:
        """Makes the kubeconfig of a client that has a certificate."""
        user = {"client-certificate": self.certificate(name), "client-key": self.key(name)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "it", "cluster": {"server": server, "certificate-authority": self.certificate("ca")}}
            ],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": name}}],
            "current-context": "it",
        }
        Path(self.kubeconfig(name)).write_text(json.dumps(config))

    def _make(self, name: str, *options: str) -> None:
        files = ["-keyout", self.key(name), "-out", self.certificate(name)]
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        config = ["-config", str(self._directory / "openssl.cnf")]
        done = subprocess.run(
            ["openssl", "req", *kind, *config, *files, *options], capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            raise RuntimeError(f"openssl makes no certificate for {name}: {done.stderr}")
