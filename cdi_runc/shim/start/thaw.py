"""HOT. Start the shim the fast way. Not a module: freeze.py compiles it, and puts the hot modules into it.

launcher.sh executes it with the command line of boot.py and `__file__`, the frozen file. boot.py runs instead if a
source has changed, or for tracebacks, because the frozen code has no lines.
"""

import _imp
import _signal  # type: ignore[import-not-found]
import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cdi_runc.shim.start.freeze import Frozen

frozen: "tuple[Frozen, ...]" = "FROZEN"  # type: ignore[assignment]  # the word that freeze.py replaces

# A time (ns) up to which a file's mtime says nothing: OSTree and Nix give all their files the time 0 or 1 s.
NORMALISED = 10**9


def is_stale(frozen: "tuple[Frozen, ...]") -> bool:
    """Whether a source is not as it was, or is gone; an installation's are not looked at, since they never change."""
    try:
        for _, path, stamp, _ in frozen:
            if stamp:
                found = posix.stat(path)
                if found.st_size != stamp[1] or (found.st_mtime_ns != stamp[0] and found.st_mtime_ns > NORMALISED):
                    return True
    except OSError:
        return True
    return False


SimpleNamespace: "Any" = type(sys.implementation)
# Past the import system, as `_json` below: it takes longer than all else here.
_imp.create_builtin(SimpleNamespace(name="gc", origin=None)).disable()  # nothing that is made is garbage before exec
if callable(_signal.getsignal(_signal.SIGINT)):  # Python's own handler, which would print a traceback
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

if b"CDI_RUNC_DEBUG" in posix.environ or is_stale(frozen):
    __file__ = __file__.rpartition("/__pycache__/")[0] + "/boot.py"
    with open(__file__, "rb") as source:
        exec(compile(source.read(), __file__, "exec"))  # noqa: S102  # which ends this process

# The import system would look for this one through two directories, which takes longer than loading it (0.25 ms).
spec = SimpleNamespace(name="_json", origin=sys.path[-1] + "/_json" + _imp.extension_suffixes()[0])
try:
    sys.modules["_json"] = _imp.create_dynamic(spec)
    _imp.exec_dynamic(sys.modules["_json"])
except ImportError:
    sys.modules.pop("_json", None)  # it is built in, or elsewhere: jsontext.py finds it


def load_later(module: "Any", code: bytes) -> None:
    """Let a module have its names once somebody asks for one of them (PEP 562)."""

    def get(name: str) -> "Any":
        del module.__getattr__
        try:
            made = marshal.loads(code)
        except Exception:  # damaged, which shows only now
            with open(module.__file__, "rb") as source:
                made = compile(source.read(), module.__file__, "exec")
        exec(made, module.__dict__)  # noqa: S102
        return getattr(module, name)

    module.__getattr__ = get


def load_hooks(module: "Any", head: bytes) -> None:
    """Let the module of the hooks, and those that it needs, come out of their own file once somebody asks for it."""

    def get(name: str) -> "Any":
        path, whole = __file__.replace("/frozen-", "/hooks-"), module.__name__
        del modules[whole]
        try:
            with open(path, "rb", 0) as file:
                data = file.read()
            if data[:16] != head:
                raise EOFError
            found = marshal.loads(memoryview(data)[16:])
            if is_stale(found):
                raise EOFError
            thaw(found)
        except Exception:
            # It is not there, damaged, or of other sources than ours. They come from their sources, and boot.py freezes
            # all anew at the next start.
            try:
                posix.unlink(__file__)
            except OSError:
                pass
            __import__(whole)
        return getattr(modules[whole], name)

    module.__getattr__ = get


modules, Module = sys.modules, type(sys)


def thaw(frozen: "tuple[Frozen, ...]") -> None:
    """Make the modules."""
    for name, path, _, code in frozen:
        modules[name] = module = Module(name)
        module.__file__ = path
        if not path:
            load_hooks(module, code)  # type: ignore[arg-type]
        elif type(code) is bytes:
            load_later(module, code)
        else:
            exec(code, module.__dict__)  # noqa: S102
    # Only now, since the import system looks more closely at what is imported from a package.
    for name, path, _, _ in frozen:
        if path[-12:] == "/__init__.py":
            modules[name].__path__ = [path[:-12]]


thaw(frozen)

from cdi_runc.shim.main import main  # noqa: E402

main(sys.argv)
