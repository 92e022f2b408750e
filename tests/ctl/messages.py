"""The messages of the shim in its sources, and those that docs/messages.md explains, both with `<>` for what varies."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

_TREE = Path(__file__).parents[2]
PAGE = _TREE / "docs" / "messages.md"

# What has a message for people as its first argument, and below as its second.
_TELLERS = {
    "CDIError",
    "ConfigError",
    "Damaged",
    "InjectionError",
    "InvalidName",
    "NoAnswer",
    "Silence",
    "RuntimeMissing",
    "SettingsError",
    "ShimError",
    "ValueError",
    "audit",
    "note",
    "warn",
}
_SECOND = {"Problem", "tell"}
# These modules return what is said, or collect it.
_REASONS = {"host/missing.py", "host/trust.py", "shim/decision.py", "shim/dropped.py", "shim/kubelet/given.py"}
# These are for programmers who use the library, and for cdictl; no call of the shim leads to them.
_ELSEWHERE = {"cdi/annotations.py": 40}  # the lines after this one
# The syntax of YAML, of HTTP/2 and of protobuf: one row of the page stands for all.
_COLD = {"cdi/_scalars.py", "cdi/_yaml.py", "shim/kubelet/headers.py", "shim/kubelet/wire.py"}


def of_the_sources() -> Iterator[tuple[str, str]]:
    """Each message, and where it is: of the Python modules and of the launcher."""
    package = _TREE / "cdi_runc"
    for folder in ("shim", "host", "cdi"):
        for path in sorted((package / folder).rglob("*.py")):
            name = str(path.relative_to(package))
            if name in _COLD:
                continue
            for line, message in _messages(ast.parse(path.read_text("utf-8")), name in _REASONS):
                if line <= _ELSEWHERE.get(name, line) and " " in message and re.search(r"[a-z]{3}", message):
                    yield message.removeprefix("; "), f"{name}:{line}"
    launcher = (package / "shim" / "start" / "launcher.sh").read_text("utf-8")
    for found in re.finditer(r'_cdi_go_without_python "([^"$][^"]*)"', launcher):
        yield re.sub(r"\$\w+", "<>", found[1]), "shim/start/launcher.sh"


def of_the_page(text: str) -> set[str]:
    """The messages that the page's tables have in their first column."""
    rows = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    return {re.sub(r"<[^>]*>", "<>", row) for row in rows}


def _messages(tree: ast.Module, has_reasons: bool) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = 1 if name in _SECOND else 0
            if len(node.args) > at and (at or name in _TELLERS or (has_reasons and name == "append")):
                yield node.lineno, _template(node.args[at])
            elif name == "write" and isinstance(node.args[0], ast.BinOp):
                yield (
                    node.lineno,
                    re.sub("%[sd]", "<>", _template(node.args[0].left)).strip().removeprefix("cdi-runc: "),
                )
        elif _gives_reason(node, has_reasons):
            yield node.lineno, _template(node.value)


def _gives_reason(node: ast.AST, has_reasons: bool) -> TypeGuard[ast.Assign | ast.Return]:
    if isinstance(node, ast.Assign):
        return getattr(node.targets[0], "id", "") in ("said", "reason")
    return has_reasons and isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.JoinedStr)


def _template(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part) for part in node.values)
    if isinstance(node, ast.IfExp):
        return _template(node.body)
    if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
        return "'<>'"
    if (
        isinstance(node, ast.FormattedValue)
        and isinstance(node.value, ast.BoolOp)
        and isinstance(node.value.op, ast.Or)
    ):
        return _template(node.value.values[-1])  # what is said where nothing else is given
    return "<>"
