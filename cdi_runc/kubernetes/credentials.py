"""How to reach the API server and as whom: a kubeconfig, also the kubelet's own, or a pod's service account.

They are read for each connection, because tokens and certificates are renewed while we run.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class NoCredentials(ValueError):
    """Why the API server cannot be reached with what there is."""


@dataclass(frozen=True)
class Credentials:
    """Where the API server is, and what proves who we are. What is '' is not used."""

    host: str
    port: int
    tls: bool
    authority: str = ""  # PEM
    certificate: str = ""  # PEM, with the key
    token: str = ""
    verify: bool = True

    def context(self) -> ssl.SSLContext | None:
        """For a connection. Raises NoCredentials."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cadata=self.authority or None)
            # From Python 3.13 on it refuses authorities without the extensions of RFC 5280, as many clusters have.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.certificate:
                _load(context, self.certificate)
        except (ssl.SSLError, ValueError) as error:
            raise NoCredentials(f"the certificates for {self.host} cannot be used: {error}") from None
        return context


def _load(context: ssl.SSLContext, certificate: str) -> None:
    """ssl reads certificates from files only, so it gets one that is nowhere."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def of_account(environment: Mapping[str, str] = os.environ, directory: str = ACCOUNT) -> Credentials:
    """The service account of the pod that we run in. Raises NoCredentials."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise NoCredentials("this is not a pod: --kubeconfig must say how to reach the cluster")
    return Credentials(
        host, int(port), True, authority=_text(f"{directory}/ca.crt"), token=_text(f"{directory}/token").strip()
    )


def has_account(environment: Mapping[str, str] = os.environ, directory: str = ACCOUNT) -> bool:
    """Whether this is a pod that may speak to its cluster."""
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and os.path.exists(f"{directory}/token")


def of_kubeconfig(path: str) -> Credentials:
    """The cluster and user of the current context. Raises NoCredentials."""
    import yaml

    try:
        config: Any = yaml.safe_load(_text(path))
        context = _named(config, "contexts", config["current-context"], "context")
        cluster = _named(config, "clusters", context["cluster"], "cluster")
        user = _named(config, "users", context["user"], "user") if context.get("user") else {}
        server = urlsplit(cluster["server"])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise NoCredentials(f"{path}: is not a kubeconfig with a current context: {error!r}") from None
    if user.get("exec") or user.get("auth-provider"):
        raise NoCredentials(f"{path}: a user with a token or a certificate is needed; programs are not called for one")
    base = os.path.dirname(os.path.abspath(path))
    key = _data(user, "client-key", base)
    token = user.get("token") or (_text(os.path.join(base, user["tokenFile"])).strip() if "tokenFile" in user else "")
    return Credentials(
        server.hostname or "",
        server.port or (443 if server.scheme == "https" else 80),
        server.scheme == "https",
        authority=_data(cluster, "certificate-authority", base),
        certificate=_data(user, "client-certificate", base) + (f"\n{key}" if key else ""),
        token=token,
        verify=not cluster.get("insecure-skip-tls-verify"),
    )


def _named(config: Any, section: str, name: str, field: str) -> Any:
    for each in config[section]:
        if each["name"] == name:
            return each[field]
    raise KeyError(name)


def _data(entry: Any, field: str, base: str) -> str:
    """What a field has, or the file that it names; '' where there is neither."""
    if entry.get(f"{field}-data"):
        try:
            return base64.b64decode(entry[f"{field}-data"]).decode()
        except (binascii.Error, ValueError) as error:
            raise NoCredentials(f"{field}-data of the kubeconfig: {error}") from None
    return _text(os.path.join(base, entry[field])) if entry.get(field) else ""


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise NoCredentials(f"{path}: {getattr(error, 'strerror', None) or error}") from None
