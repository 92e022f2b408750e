"""The config: its defaults, and what is said of one that is wrong."""

from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from cdi_runc.host import settings

DEFAULTS = {
    "runtimes": {},
    "spec-dirs": ["/etc/cdi", "/var/run/cdi"],
    "requests": {
        "annotations": ["cdi.k8s.io/"],
        "mounts": None,
        "env": None,
        "kubelet": False,
        "kubelet-dir": "/var/lib/kubelet",
        "kubelet-deadline": 5,
    },
    "restore": "ignore",
    "trust": "warn",
    "audit": "none",
    "fault": "",
}


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(settings.schema())


def test_no_file_means_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SYSTEM_CONFIG", str(tmp_path / "config.yaml"))
    assert settings.read(str(tmp_path / "config.yaml")) == DEFAULTS


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    assert settings.read(str(tmp_path / "x.yaml")) == DEFAULTS | {"fault": f"{tmp_path}/x.yaml: there is no such file"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("{}", {}),
        ("spec-dirs: [/a]", {"spec-dirs": ["/a"]}),
        ("restore: inject", {"restore": "inject"}),
        ("runtimes: {runc: /usr/local/sbin/runc}", {"runtimes": {"runc": "/usr/local/sbin/runc"}}),
        ("requests: {env: CDI_DEVICES}", {"requests": DEFAULTS["requests"] | {"env": "CDI_DEVICES"}}),  # type: ignore[operator]
        ("requests:\n  mounts: /m", {"requests": DEFAULTS["requests"] | {"mounts": "/m"}}),  # type: ignore[operator]
        ("requests: null", {}),
    ],
)
def test_what_is_not_said_is_at_its_default(tmp_path: Path, text: str, expected: dict[str, object]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert settings.read(str(path)) == DEFAULTS | expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("runtime: {}", "unknown key 'runtime', did you mean 'runtimes'?"),
        ("requests: {mount: /x}", "unknown key 'mount' in requests, did you mean 'mounts'?"),
        ("1: 2", "unknown key 1"),
        (
            "spec-dirs: /etc/cdi",
            "spec-dirs: found '/etc/cdi', expected a list of absolute paths (later ones win)",
        ),
        ("spec-dirs: [etc]", "spec-dirs.0: found 'etc', expected an absolute path"),
        ("spec-dirs: []", "spec-dirs: found [], expected a list of absolute paths"),
        ("restore: maybe", "restore: found 'maybe', expected ignore or inject"),
        ("requests: {env: 1x}", "requests.env: found '1x', expected null, or the name of"),
        ("requests: {mounts: /x/}", "requests.mounts: found '/x/'"),
        ("requests: {kubelet: perhaps}", "requests.kubelet: found 'perhaps', expected true or false"),
        ("requests: {kubelet-dir: x}", "requests.kubelet-dir: found 'x', expected an absolute path"),
        ("requests: {kubelet-deadline: 61}", "requests.kubelet-deadline: found 61, expected how many seconds"),
        ("requests: {annotations: [x]}", "requests.annotations.0: found 'x', expected a prefix with a slash"),
        ("- a", "found ['a'], expected an object of settings"),
        ("a: [", "config.yaml:1: "),
        ("restore: ignore\nrestore: inject", "config.yaml:2: key 'restore' is given twice"),
        ("? [a]\n: 1", "config.yaml:1: a key is not a text"),
        ("{}: 1", "config.yaml:1: a key is not a text"),
        ("\x00", "config.yaml: "),
        ("[" * 5000, "config.yaml"),
    ],
)
def test_a_fault_is_named_in_one_line(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    found = settings.read(str(path))
    assert fault in found["fault"]
    assert found["fault"].startswith(str(path))
    assert "\n" not in found["fault"]
    assert found == DEFAULTS | {"fault": found["fault"]}


def test_a_broken_config_still_maps_runtimes(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("runtimes: {runc: /x, crun: 1}\nrestor: ignore\n")
    assert settings.read(str(path))["runtimes"] == {"runc": "/x"}


def test_a_directory_is_no_config(tmp_path: Path) -> None:
    assert settings.read(str(tmp_path))["fault"] == f"{tmp_path}: is a directory, not a file"


def test_text_that_is_not_utf_8_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"a: \xff")
    assert settings.read(str(tmp_path / "config.yaml"))["fault"].endswith("config.yaml: not UTF-8 at byte 3")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\x01", "config.yaml: not YAML: unacceptable character #x0001: special characters are not allowed in "),
        ("[" * 5000, "config.yaml: not YAML: "),
        ("a: 2001-13-01", "config.yaml: not YAML: month must be in 1..12"),
        ("a: [\n", "config.yaml:2: "),
        ("1: 2", "config.yaml: unknown key 1, did you mean 'runtimes'?"),
        (f"restore: {'x' * 100}", f"config.yaml: restore: found '{'x' * 75} ..., expected ignore or inject"),
        (f"restore: {'x' * 78}", f"config.yaml: restore: found '{'x' * 78}', expected ignore or inject"),
        (f"restore: {'x' * 79}", f"config.yaml: restore: found '{'x' * 75} ..., expected ignore or inject"),
    ],
)
def test_a_fault_is_said_in_full(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert settings.read(str(path))["fault"].startswith(f"{tmp_path}/{fault}")


def test_of_settings_with_a_fault_the_sources_of_requests_count(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("requests: {env: X}\nbogus: 1\n")
    found = settings.read(str(path))
    assert found["requests"]["env"] == "X"
    assert found["requests"]["annotations"] == ["cdi.k8s.io/"]
    path.write_text("requests: {env: X, bogus: 1}\n")
    assert settings.read(str(path))["requests"] == DEFAULTS["requests"]
