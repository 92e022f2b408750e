"""HOT. Make modules of the frozen code: not imported, but executed by boot.py with `frozen` in its namespace."""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cdi_runc.shim.freeze import Frozen

    frozen: list[Frozen] = []

for name, path, stamp, code in frozen:
    found = posix.stat(path)
    if (found.st_mtime_ns, found.st_size) != stamp:
        raise ImportError(f"{path} has changed")
    module = type(sys)(name)
    module.__file__ = path
    if path[-12:] == "/__init__.py":
        module.__path__ = [path[:-12]]
    sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102
