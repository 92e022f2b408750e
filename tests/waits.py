"""Every wait of the tests has a limit: `python -m tests.waits FOLDER...` prints those that have none (make lint).

A child that never ends must fail one test and not stop the whole run.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

RUNNING = {"run", "call", "check_call", "check_output"}
WAITING = {"wait", "communicate", "join"}


def fault(node: ast.AST) -> str:
    """What is wrong with this part of a program, or nothing."""
    if isinstance(node, ast.withitem):
        return "`with Popen` waits without a limit: use tests.processes.ending" if _name(node.context_expr) == (
            "subprocess",
            "Popen",
        ) else ""  # fmt: skip
    module, name = _name(node)
    if not isinstance(node, ast.Call) or any(word.arg in ("timeout", None) for word in node.keywords):
        return ""
    if module == "subprocess" and name in RUNNING:
        return f"subprocess.{name} without timeout="
    if name in WAITING and not node.args and not node.keywords:
        return f"{name}() without a limit"
    return ""


def _name(node: ast.AST) -> tuple[str, str]:
    """The module, or other object, and the name in it that are called."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        module = node.func.value
        return (module.id if isinstance(module, ast.Name) else "", node.func.attr)
    return ("", "")


def faults(path: Path) -> Iterator[str]:
    """A line for each wait without a limit in a file."""
    tree = ast.parse(path.read_text())
    # What asyncio waits for can be broken off, and is by the limit of each test.
    awaited = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.Await) for node in ast.walk(outer)}
    for node in ast.walk(tree):
        if id(node) not in awaited and (said := fault(node)):
            place = node.context_expr if isinstance(node, ast.withitem) else node
            yield f"{path}:{getattr(place, 'lineno', 1)}: {said}"


if __name__ == "__main__":
    found = [line for folder in sys.argv[1:] for path in sorted(Path(folder).rglob("*.py")) for line in faults(path)]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
