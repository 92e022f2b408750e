"""Freeze the hot modules: compile them into the one file that launcher.sh starts.

Looking up two dozen .pyc files one by one would cost 2 ms at every container. Slow itself, and so done once: at
installation, and by the first start after a source has changed. What only the hooks of LXC and of Podman need is in a
file of its own beside it, so that a runtime's start need not read it.
"""

import _imp
import ast
import marshal
import sys
from hashlib import sha256
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType

from cdi_runc.cdi._files import replace_file

# The name of a module, its file, the file's mtime (ns) and size (None: thaw.py need not look), its code, which is
# marshalled once more where most calls do not use it, so that they need not load it. Of the module of the hooks there
# is no file here, and in place of code there are the bytes with which the hooks' own file begins.
Frozen = tuple[str, str, tuple[int, int] | None, CodeType | bytes]

# Every module comes after those that it imports.
HOT = (
    "cdi_runc",
    "cdi_runc.cdi",
    "cdi_runc.cdi.errors",
    "cdi_runc.cdi.names",
    "cdi_runc.cdi.annotations",
    "cdi_runc.cdi.edits",
    "cdi_runc.cdi.injection",
    "cdi_runc.host",
    "cdi_runc.host.errors",
    "cdi_runc.host.places",
    "cdi_runc.host.snapshot",
    "cdi_runc.shim",
    "cdi_runc.shim.errors",
    "cdi_runc.shim.cmdline",
    "cdi_runc.shim.jsontext",
    "cdi_runc.shim.bundle",
    "cdi_runc.shim.earlier",
    "cdi_runc.shim.requests",
    "cdi_runc.shim.policy",
    "cdi_runc.shim.decision",
    "cdi_runc.shim.outcome",
    "cdi_runc.shim.runtime",
    "cdi_runc.shim.launch",
    "cdi_runc.shim.main",
)

# What the hooks of LXC and of Podman need besides: the start of an LXC container calls up to three of them. The first
# is the one that a hot module imports, as those of LATER.
HOOKS = (
    "cdi_runc.shim.hooks",
    "cdi_runc.shim.audit",
    "cdi_runc.shim.engine_records",
    "cdi_runc.shim.podman",
    "cdi_runc.shim.lxc",
    "cdi_runc.shim.lxc.config",
    "cdi_runc.shim.lxc.oci_hooks",
    "cdi_runc.shim.lxc.waiting",
    "cdi_runc.shim.lxc.plan",
    "cdi_runc.shim.lxc.record",
    "cdi_runc.shim.lxc.rights",
    "cdi_runc.shim.lxc.start_host",
    "cdi_runc.shim.lxc.lacking",
    "cdi_runc.shim.lxc.syscalls",
    "cdi_runc.shim.lxc.rootfs",
    "cdi_runc.shim.lxc.hook",
)

# Those that only some hosts need. Importers take such a module as a whole, and no names from it.
LATER = ("cdi_runc.shim.policy",)

START = Path(__file__).parent
LIB = START.parent.parent.parent


def frozen_path() -> Path:
    """The file for the version of Python that runs this; launcher.sh takes the version from its name."""
    return START / "__pycache__" / f"frozen-3.{sys.version_info.minor}.pyc"


def freeze(checked: bool = True) -> None:
    """Write the file, all at once. Where that can't be done, each start stays slow, and nothing else comes of it.

    checked: whether the sources may change, so that each start must look at them. Those of an installation don't.
    """
    hooks = marshal.dumps(tuple(_frozen(name, checked, later=True) for name in HOOKS))
    # So that thaw.py finds out whether the two files were made together.
    head = MAGIC_NUMBER + sha256(hooks).digest()[:12]
    frozen = [_frozen(name, checked, name in LATER) for name in HOT]
    frozen.append((HOOKS[0], "", None, head))
    thaw = _compiled(START / "thaw.py")
    start = thaw.replace(co_consts=tuple(tuple(frozen) if c == "FROZEN" else c for c in thaw.co_consts))
    target = frozen_path()
    try:
        target.parent.mkdir(exist_ok=True)
        # As importlib writes byte code. It is synced: nobody would see that a power cut left a page of it empty.
        replace_file(Path(str(target).replace("frozen-", "hooks-")), head + hooks, keep=False)
        # Even so a disk may give back another byte, and that is other code. So launcher.sh looks at the hash.
        content = marshal.dumps(start)
        replace_file(target, MAGIC_NUMBER + bytes(4) + _imp.source_hash(0, content) + content, keep=False)
    except OSError:
        pass


def _frozen(name: str, checked: bool, later: bool) -> Frozen:
    path = LIB / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = path.stat()  # before it is read, so that a change in between is seen at the next start
    stamp = (found.st_mtime_ns, found.st_size) if checked else None
    code = _compiled(path)
    return name, str(path), stamp, marshal.dumps(code) if later else code


def _compiled(path: Path) -> CodeType:
    tree = _Untyped().visit(ast.parse(path.read_text("utf-8")))
    return _bare(compile(tree, str(path), "exec", optimize=2))  # 2: no docstrings


class _Untyped(ast.NodeTransformer):
    """Takes out what only a type checker reads: a tenth of the code, and of the time to load and to execute it."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Without its type."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # the name that ast looks for
        """Without the type of what it returns."""
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """An assignment without a type; nothing where there was only the type."""
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_If(self, node: ast.If) -> ast.AST:
        """Nothing where it is `if TYPE_CHECKING`."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" and not node.orelse:
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)


def _bare(code: CodeType) -> CodeType:
    """The code without its table of lines, a third of its size. For a traceback, set CDI_RUNC_DEBUG."""
    constants = tuple(_bare(inner) if isinstance(inner, CodeType) else inner for inner in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=constants)
