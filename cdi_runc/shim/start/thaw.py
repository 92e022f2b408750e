"""HOT. Start the shim the fast way. Not a module: freeze.py compiles it, and puts the hot modules into it.

`python3 -I -S frozen-3.X.pyc ...`, with the command line of boot.py, which is started instead where a source has
changed or where someone wants tracebacks, for which the frozen code has no lines.
"""

import _imp
import _signal  # type: ignore[import-not-found]
import gc
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cdi_runc.shim.start.freeze import Frozen

frozen: "tuple[Frozen, ...]" = "FROZEN"  # type: ignore[assignment]  # the word that freeze.py replaces

gc.disable()  # nothing that is made here is garbage before exec
if callable(_signal.getsignal(_signal.SIGINT)):  # Python's own handler, which would print a traceback
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

# The import system would look for this one through two directories, which takes longer than loading it (0.25 ms).
SimpleNamespace: "Any" = type(sys.implementation)
spec = SimpleNamespace(name="_json", origin=sys.path[-1] + "/_json" + _imp.extension_suffixes()[0])
try:
    sys.modules["_json"] = _imp.create_dynamic(spec)
    _imp.exec_dynamic(sys.modules["_json"])
except ImportError:
    pass  # it is built in, or elsewhere: jsontext.py finds it

try:
    if b"CDI_RUNC_DEBUG" in posix.environ:
        raise OSError
    for name, path, stamp, code in frozen:
        found = posix.stat(path)
        if (found.st_mtime_ns, found.st_size) != stamp:
            raise OSError
        module = type(sys)(name)
        module.__file__ = path
        if path[-12:] == "/__init__.py":
            module.__path__ = [path[:-12]]
        sys.modules[name] = module
        exec(code, module.__dict__)  # noqa: S102
except OSError:
    boot = __file__.rpartition("/__pycache__/")[0] + "/boot.py"
    posix.execv(sys.executable, [sys.executable, "-I", "-S", "-X", "utf8", boot, *sys.argv[1:]])

from cdi_runc.shim.main import main  # noqa: E402

main(sys.argv)
