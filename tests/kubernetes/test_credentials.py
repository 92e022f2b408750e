from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdi_runc.kubernetes.credentials import Credentials, NoCredentials, of_account, of_kubeconfig


def kubeconfig(directory: Path, cluster: dict[str, Any], user: dict[str, Any]) -> str:
    config = {
        "current-context": "c",
        "contexts": [
            {"name": "other", "context": {"cluster": "none"}},
            {"name": "c", "context": {"cluster": "k", "user": "u"}},
        ],
        "clusters": [{"name": "k", "cluster": {"server": "https://10.0.0.1:6443", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path = directory / "kubelet.conf"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("cluster", "user", "expected"),
    [
        ({}, {"token": "t"}, {"token": "t"}),
        ({}, {"tokenFile": "token"}, {"token": "from a file"}),
        ({"certificate-authority-data": encoded("CA")}, {"token": "t"}, {"token": "t", "authority": "CA"}),
        ({"certificate-authority": "ca.crt"}, {}, {"authority": "CA from a file"}),
        (
            {},
            {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")},
            {"certificate": "CERT\nKEY"},
        ),
        # The kubelet's own: one file has both, and is renewed.
        ({}, {"client-certificate": "pem", "client-key": "pem"}, {"certificate": "PEM\nPEM"}),
        ({"insecure-skip-tls-verify": True}, {"token": "t"}, {"token": "t", "verify": False}),
        ({"server": "http://localhost:8080"}, {}, {"host": "localhost", "port": 8080, "tls": False}),
        ({"server": "https://api.example.com"}, {}, {"host": "api.example.com", "port": 443}),
    ],
)
def test_kubeconfig(cluster: dict[str, Any], user: dict[str, Any], expected: dict[str, Any], tmp_path: Path) -> None:
    for name, text in {"token": "from a file\n", "ca.crt": "CA from a file", "pem": "PEM"}.items():
        (tmp_path / name).write_text(text)
    found = of_kubeconfig(kubeconfig(tmp_path, cluster, user))
    assert found == Credentials(**{"host": "10.0.0.1", "port": 6443, "tls": True, **expected})


@pytest.mark.parametrize("text", ["", "{", "current-context: none", "- 1", "current-context: c\ncontexts: []"])
def test_what_is_no_kubeconfig_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(NoCredentials, match=str(path)):
        of_kubeconfig(str(path))


def test_programs_are_not_called_for_a_token(tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="programs are not called"):
        of_kubeconfig(kubeconfig(tmp_path, {}, {"exec": {"command": "aws"}}))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="no-such-file: No such file"):
        of_kubeconfig(kubeconfig(tmp_path, {"certificate-authority": "no-such-file"}, {}))


def test_the_service_account_of_a_pod(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("CA")
    (tmp_path / "token").write_text("t\n")
    environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert of_account(environment, str(tmp_path)) == Credentials("10.96.0.1", 443, True, authority="CA", token="t")
    (tmp_path / "token").write_text("renewed")
    assert of_account(environment, str(tmp_path)).token == "renewed"


def test_outside_of_a_pod_a_kubeconfig_is_asked_for() -> None:
    with pytest.raises(NoCredentials, match="--kubeconfig"):
        of_account({})


def test_authorities_without_key_usage_are_accepted() -> None:
    """Python 3.13 refuses them by default, and many clusters have them (kubernetes-client/python#2394)."""
    context = Credentials("h", 443, True).context()
    assert context
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_certificates_that_are_none_are_an_error() -> None:
    with pytest.raises(NoCredentials, match="the certificates for h cannot be used"):
        Credentials("h", 443, True, authority="nonsense").context()
