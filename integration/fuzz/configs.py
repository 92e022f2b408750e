"""What a container brings: JSON texts, configs of wrong types, names, requests, and the words of a command line."""

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdi_runc.cdi.errors import CDIError
from cdi_runc.cdi.names import is_qualified_name
from cdi_runc.host.errors import SettingsError
from cdi_runc.shim.cmdline import parse
from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.jsontext import Document
from cdi_runc.shim.outcome import outcome
from cdi_runc.shim.requests import requested
from integration.bundles import oci_config
from integration.findings import Part
from integration.fuzz import texts
from tests.shim.conftest import make_launcher, shell

NAME = re.compile(
    r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
    r"=[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?"
)
DIRECTORY = "/var/run/cdi-devices"
SOURCES = {"annotations": ["cdi.k8s.io/"], "mounts": DIRECTORY, "env": "CDI_DEVICES"}
_WORDS = [
    *["create", "run", "restore", "state", "exec", "delete", "id", "asks", "plain", "", "--", "-", "-d", "--help"],
    *["--bundle", "-b", "--bundle=asks", "--bundle=plain", "-basks", "--bundle=", "-bundle", "--bund", "-db", "--root"],
    *["--root=x", "--log", "--rootless", "--debug", "--config", "-f", "--config=asks/config.json", "--pid-file", "-l"],
    *["--console-socket", "--preserve-fds", "--no-subreaper", "--cgroup-manager", "-s", "-p", "asks/config.json"],
]


class _Known:
    """A host with one device of every edit, and a policy without rules."""

    names = ("vendor.com/gpu=0",)
    refused: Mapping[str, str] = {}
    conflicts: Mapping[str, list[str]] = {}

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {
            "requests": SOURCES,
            "restore": "ignore",
            "policy": {"rules": [], "fault": ""},
            "fault": "",
            "spec-dirs": [],
        }
        self.edits: Any = {
            "env": ["A=1"],
            "deviceNodes": [{"path": "/dev/vendor0", "hostPath": "/dev/null"}],
            "mounts": [{"hostPath": "/usr", "containerPath": "/opt/vendor", "options": ["ro", "bind"]}],
            "hooks": [{"hookName": "createContainer", "path": "/bin/true"}],
            "additionalGids": [4711],
        }

    def find(self, name: str) -> Any:
        return ("/etc/cdi/vendor.json", {}, self.edits) if name in self.names else None


def json_texts(part: Part) -> None:
    """A text is read if `json` reads it, and comes out with the same value and every digit."""
    while part.has_time():
        for _ in range(500):
            text = texts.json_text(part.choose)
            if part.choose.random() < 0.5:
                text = texts.broken(text, part.choose)
            part.tried += 1
            difference = json_difference(text)
            part.expect(not difference, f"{text!r}: {difference}")


def json_difference(text: str) -> str:
    """How what we make of a JSON text differs from what `json` makes of it; '' if it does not."""
    try:
        wanted, once = _read(text)
    except (ValueError, RecursionError):
        wanted, once = None, False
        readable = False
    else:
        readable = True
    try:
        written = Document(text).text()
    except ValueError as error:
        return f"refused: {error}" if readable and not text.startswith("\ufeff") else ""
    if not readable:
        return f"read as {written}"
    if once and _read(written)[0] != wanted:
        return f"came out as {written}"
    return ""


def _read(text: str) -> tuple[Any, bool]:
    """The value with every digit, and whether each key is there once. Raises ValueError."""
    once = True

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal once
        made = dict(found)
        once = once and len(made) == len(found)
        return made

    def refuse(word: str) -> Any:
        raise ValueError(word)

    made = json.loads(text, object_pairs_hook=pairs, parse_float=lambda word: ("float", word), parse_constant=refuse)
    return made, once


def configs(part: Part) -> None:
    """A config with values of wrong types is edited or refused in one line; an edited one is edited no further."""
    known = _Known()
    good: dict[str, Any] = {
        **oci_config(["sh"], {"cdi.k8s.io/test": "vendor.com/gpu=0"}),
        "hooks": {"createRuntime": [{"path": "/bin/true"}]},
        "x-unknown": {"a": [1, {"b": None}]},
    }
    while part.has_time():
        config = texts.with_odd_values(good, part.choose)
        part.tried += 1
        if isinstance(config, dict):
            said = _edited(config, known)
            part.expect(not said, f"{json.dumps(config)}: {said}")


def _edited(config: dict[str, Any], known: _Known) -> str:
    before = copy.deepcopy(config)
    try:
        groups = decide(config, "create", known).groups  # type: ignore[arg-type]
        made = outcome(config, groups, lambda: False)
        again = outcome(made, groups, lambda: False)
    except (CDIError, ShimError, SettingsError) as error:
        return "the config is changed" if config != before else "several lines" * ("\n" in str(error))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "a second run changes it" if again != made else "the config is changed" * (config != before)


def names(part: Part) -> None:
    """A text is a device's name where the standard's rules, as one regular expression, say so."""
    letters = ["a", "Z", "0", ".", "-", "_", ":", "/", "=", "\u00e9", " ", "\n", ","]
    while part.has_time():
        for _ in range(500):
            parts = ["".join(part.choose.choices(letters[:6], k=part.choose.randrange(4))) for _ in range(3)]
            text = f"{parts[0]}/{parts[1]}={parts[2]}"
            if part.choose.random() < 0.3:
                place = part.choose.randrange(len(text))
                text = text[:place] + part.choose.choice(letters) + text[place:]
            part.tried += 1
            part.expect(is_qualified_name(text) == bool(NAME.fullmatch(text)), f"{text!r}: {is_qualified_name(text)}")


def requests(part: Part) -> None:
    """The requests of a config by annotations, mounts and the variable are what a plain reading of the rules says."""
    pool = ["a.b/c=0", "a.b/c=1", "v/d=x:y", "bad", "", "a.b/c=0,v/d=x:y", "a.b/c=", "a.b/c= 0"]
    while part.has_time():
        chosen = part.choose
        annotations = {f"{chosen.choice(['cdi.k8s.io/', 'x.io/', 'cdi.k8s.io'])}{n}": chosen.choice(pool) for n in "ab"}
        device = chosen.choice(["a.b/c/0", "a.b/c/1", "v//d/x:y", "a.b/c", "../c/0"])
        source = chosen.choice(["/dev/null", "/volume", "/dev/zero"])
        mount = {"destination": f"{DIRECTORY}/{device}", "source": source, "type": chosen.choice(["bind", "tmpfs"])}
        env = [f"{chosen.choice(['CDI_DEVICES', 'OTHER'])}={chosen.choice(pool)}" for _ in range(2)]
        config: dict[str, Any] = {"annotations": annotations, "mounts": [mount], "process": {"env": env}}
        part.tried += 1
        try:
            found: list[str] | None = [request.name for request in requested(config, SOURCES)]
        except (CDIError, ShimError):
            found = None
        wanted = _wanted(annotations, mount, env)
        part.expect(found == wanted, f"{json.dumps(config)}: {found} instead of {wanted}")


def _wanted(annotations: dict[str, str], mount: dict[str, str], env: list[str]) -> list[str] | None:
    asked = [
        name for key in sorted(annotations) if key.startswith("cdi.k8s.io/") for name in annotations[key].split(",")
    ]
    if mount["source"] == "/dev/null" and mount["type"] == "bind":
        vendor, class_, name = [*filter(None, mount["destination"][len(DIRECTORY) :].split("/")), "", ""][:3]
        asked.append(f"{vendor}/{class_}={name}")
    values = [entry.partition("=")[2] for entry in env if entry.startswith("CDI_DEVICES=")]
    asked += values[-1].split(",") if values and values[-1] else []
    return list(dict.fromkeys(asked)) if all(map(NAME.fullmatch, asked)) else None


def argv(part: Part, directory: Path) -> None:
    """The launcher starts the runtime without Python only where Python finds no request in the same words."""
    launcher = make_launcher(directory, shell("dash"))
    while part.has_time():
        words = texts.line_of(part.choose, _WORDS)
        name = part.choose.choice(["runc", "crun", "youki"])
        call = parse(list(words), name)
        asks = bool(call.config) and "asks" in (directory / str(call.config)).resolve().parts
        part.tried += 1
        try:
            went = launcher.decide(words, name)
        except AssertionError as fault:
            part.findings.append(f"{name} {words}: {fault}")
            continue
        part.expect(went == "python" or not asks, f"{name} {words}: went to {went}")
