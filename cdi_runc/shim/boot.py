"""Start the shim. launcher.sh types `python3 -I -S boot.py FULL_PYTHON SELF LC_CTYPE SIGIGN RUNTIME CONFIG ARGS...`.

Compiled anew at every start, which costs more than running it: so it is no longer than this. It runs the hot modules
from one file with the code of all of them (freeze.py); where that is missing or old, it imports them the usual way.
"""

import gc
import marshal
import posix
import sys

gc.disable()  # nothing that is made here is garbage before exec
shim = __file__[: -len("boot.py")]
try:
    file = posix.open(shim + "__pycache__/hot." + sys.implementation.cache_tag, posix.O_RDONLY | posix.O_CLOEXEC)
    start, python, code = posix.read(file, posix.fstat(file).st_size).split(b"\n", 2)
    posix.close(file)
    if (start, python) != (b"cdi-runc", repr(sys.version).encode()) or b"CDI_RUNC_DEBUG" in posix.environ:
        raise ImportError
    thaw, frozen = marshal.loads(code)
    exec(thaw)  # noqa: S102  # thaw.py, which makes modules of what is frozen
except (OSError, ValueError, TypeError, EOFError, ImportError):
    sys.path.insert(0, shim[: -len("/cdi_runc/shim/")])
    from cdi_runc.shim import freeze

    freeze.freeze()

from cdi_runc.shim.main import main  # noqa: E402

main(sys.argv)
