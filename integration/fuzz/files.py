"""What administrators, vendors and engines write: specs, policies, recipes, and the engines' own files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import cdi_runc as cdi
from cdi_runc.engines import values
from cdi_runc.engines.engine import EngineError, FilePlan, Put, Value
from cdi_runc.generate import recipe
from cdi_runc.host import builder
from cdi_runc.host.errors import SettingsError
from cdi_runc.host.snapshot import Snapshot
from cdi_runc.shim.decision import decide
from cdi_runc.shim.errors import ShimError
from cdi_runc.shim.requests import Request
from integration.faults.host import TREE
from integration.faults.host import spec as json_spec
from integration.findings import Part
from integration.fuzz import texts

YAML_SPEC = yaml.safe_dump(json.loads(json_spec()))
_DEVICES = ["a.b/c=0", "a.b/c=1", "a.bb/c=0", "v/gpu=all"]
_GLOBS = ["*", "a.b/*", "*=0", "a*c=*", "v/gpu=all", "*b*b*", "a.b/c=0"]
_OURS: dict[str, Value] = {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": "/usr/bin/cdi-runc"}}


def _told_in_one_line(part: Part, work: Callable[[str], object], text: str, error: type[Exception]) -> None:
    """The text is read, or refused with an error of this type whose text is one line."""
    part.tried += 1
    try:
        work(text)
    except error as fault:
        part.expect("\n" not in str(fault), f"{text!r}: several lines: {fault}")
    except Exception as fault:
        part.findings.append(f"{text!r}: {type(fault).__name__}: {fault}")


def specs(part: Part) -> None:
    """A broken spec is read or refused in one line; one with odd values too, and comes back from JSON if it is good."""
    while part.has_time():
        start = part.choose.choice([YAML_SPEC, json_spec()])
        _told_in_one_line(part, cdi.parse_spec, texts.broken(start, part.choose), cdi.CDIError)
        odd = json.dumps(texts.with_odd_values(json.loads(json_spec()), part.choose))
        _told_in_one_line(part, _there_and_back, odd, cdi.CDIError)


def _there_and_back(text: str) -> None:
    spec = cdi.parse_spec(text)
    if cdi.parse_spec(json.dumps(spec)) != spec:
        raise AssertionError("it does not come back from JSON")


def recipes(part: Part) -> None:
    """A broken recipe, or one with odd values, is read or refused in one line."""
    shipped = [path.read_text() for path in sorted((TREE / "cdi_runc/generate/recipes").glob("*.yaml"))]

    def read(text: str) -> object:
        return recipe.parse(text, "odd", "/odd.yaml")

    while part.has_time():
        text = part.choose.choice(shipped)
        _told_in_one_line(part, read, texts.broken(text, part.choose), recipe.InvalidRecipe)
        odd = texts.with_odd_values(yaml.safe_load(text), part.choose)
        _told_in_one_line(part, read, json.dumps(odd), recipe.InvalidRecipe)


def policies(part: Part, directory: Path) -> None:
    """A policy decides as a plain reading of its rules does; with a broken one, nobody gets a device."""
    specs, config, path = directory / "cdi", directory / "config.yaml", directory / "policy.yaml"
    specs.mkdir()
    for number, device in enumerate(_DEVICES):
        kind, _, name = device.partition("=")
        devices = [{"name": name, "containerEdits": {"env": ["A=1"]}}]
        (specs / f"{number}.json").write_text(json.dumps({"cdiVersion": "0.6.0", "kind": kind, "devices": devices}))
    config.write_text(f"spec-dirs: [{specs}]\n")
    for each in (directory, specs, config, *specs.iterdir()):
        each.chmod(0o755)
    while part.has_time():
        rules = [_rule(part) for _ in range(part.choose.randrange(4))]
        text = json.dumps({"rules": rules})
        is_broken = part.choose.random() < 0.3
        written = texts.broken(text, part.choose) if is_broken else text
        path.write_text(written, encoding="utf-8", errors="surrogateescape")
        path.chmod(0o644)
        request = Request(part.choose.choice(_DEVICES), part.choose.choice(["annotation", "variable"]), "x")
        uid = part.choose.choice([0, 1000])
        part.tried += 1
        try:
            found, fault = _decision(str(config), request, uid)
        except Exception as error:
            part.findings.append(f"{written!r}: {type(error).__name__}: {error}")
            continue
        part.expect("\n" not in fault, f"{written!r}: several lines: {fault}")
        if not is_broken:
            wanted = _plain_decision(rules, request, uid)
            part.expect(found == wanted, f"{text}: {request.name}, {request.through}, {uid}: {found}, {fault}")


def _rule(part: Part) -> dict[str, Any]:
    choose = part.choose
    match: dict[str, Any] = {}
    if choose.random() < 0.8:
        match["device"] = choose.choice([choose.choice(_GLOBS), choose.sample(_GLOBS, 2)])
    if choose.random() < 0.3:
        match["through"] = choose.choice(["annotation", ["variable", "mount"]])
    if choose.random() < 0.3:
        match["uid"] = choose.choice([0, [1000, 2]])
    return {"match": match, "action": choose.choice(["allow", "deny", "audit"])}


def _decision(config: str, request: Request, uid: int) -> tuple[str, str]:
    """What a container gets by the snapshot of this config, and the reason if it is refused."""
    data = builder.build(config)
    known = Snapshot(lambda start, size: data[start : start + size])
    try:
        decision = decide({"process": {"user": {"uid": uid}}}, "create", known, [request])
    except (ShimError, SettingsError) as fault:
        return "deny", str(fault)
    return ("allow" if decision.rules else "none"), ""


def _plain_decision(rules: list[dict[str, Any]], request: Request, uid: int) -> str:
    for rule in rules:
        match = rule["match"]
        globs, through, uids = (_listed(match.get(key, default)) for key, default in _ANY.items())
        fits = any(re.fullmatch(".*".join(map(re.escape, glob.split("*"))), request.name) for glob in globs)
        fits = fits and request.through in (through or [request.through]) and uid in (uids or [uid])
        if fits and rule["action"] != "audit":
            return str(rule["action"])
    return "none"


_ANY: dict[str, Any] = {"device": "*", "through": [], "uid": []}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def engine_files(part: Part) -> None:
    """What enable puts into a file goes out again: at once, and after somebody else has edited the file."""
    while part.has_time():
        syntax = part.choose.choice(["json", "toml"])
        before = _json_file(part) if syntax == "json" else _toml_file(part)
        keys = part.choose.choice([("runtimes", "cdi-runc"), ("cri", "runtimes", "cdi-runc"), ("a", "b")])
        puts = [Put(keys, _OURS)]
        if part.choose.random() < 0.5:
            puts.append(Put((*keys[:-1], "default"), "cdi-runc"))
        plan = FilePlan("x", syntax, tuple(puts), "{}" if syntax == "json" else "")  # type: ignore[arg-type]
        part.tried += 1
        try:
            said = _in_and_out(plan, before, part)
        except EngineError as fault:
            said = "several lines" * ("\n" in str(fault))
        except Exception as fault:
            said = f"{type(fault).__name__}: {fault}"
        part.expect(not said, f"{syntax}, {keys}: {before!r}: {said}")


def _in_and_out(plan: FilePlan, before: str, part: Part) -> str:
    data = values.parse(plan.syntax, before)
    after, undos = values.apply(plan, before)
    if values.parse(plan.syntax, values.take_out(plan.syntax, after, undos)) != data:
        return "it is another file after disable"
    foreign = Put(part.choose.choice([("foreign",), ("runtimes", "kata"), ("cri", "x")]), {"path": "/usr/bin/kata"})
    other = FilePlan("x", plan.syntax, (foreign,))
    edited, _ = values.apply(other, after)
    wanted, _ = values.apply(other, before)
    rest = values.take_out(plan.syntax, edited, undos)
    if values.parse(plan.syntax, rest) != values.parse(plan.syntax, wanted):
        return f"it is another file after a foreign edit of {foreign.keys} and disable: {rest!r}"
    return ""


def _json_file(part: Part) -> str:
    choose = part.choose
    data: dict[str, Any] = {"debug": True, "x": texts.value(choose)} if choose.random() < 0.7 else {}
    if choose.random() < 0.5:
        data["runtimes"] = {"kata": {"path": "/usr/bin/kata"}} if choose.random() < 0.7 else {}
    return json.dumps(data, indent=choose.choice([None, 2, 4, "\t"]))


_TOML = [
    "version = 2\n",
    "# a comment\n",
    "\n",
    "[cri]\n",
    '[cri.runtimes.runc] # ours\n  runtime_type = "x"\n',
    "[runtimes]\n",
    '[runtimes.kata]\npath = "/usr/bin/kata"\n',
    'runtimes.runc.path = "/usr/bin/runc"\n',
    "a = {c = 1}\n",
    "[[list]]\nx = 1\n",
    "[a]\nc = [1,\n 2]\n",
    'cri.default = "runc"\n',
    "[other.runtimes]\nx = '''\n[cri]\n'''\n",
]


def _toml_file(part: Part) -> str:
    return "".join(part.choose.sample(_TOML, part.choose.randrange(len(_TOML))))
