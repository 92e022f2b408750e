"""Start the shim the slow way: `python3 -I -S boot.py FULL_PYTHON SELF LC_ALL PATH STAT RUNTIME CONFIG ARGS...`.

For the first start with a version of Python, after a change of the sources, and where frozen code is damaged: it
imports the hot modules one by one, and freezes them for the next start (freeze.py).

Any Python may run this file, so its words are those of Python 3.6.
"""

import posix
import sys

_HANDED_OVER = "cdi_runc_handed_over"

if sys.version_info < (3, 10):  # noqa: UP036  # as /usr/bin/python3 of a host may be
    full = sys.argv[1]
    # Where pip installed us, that is the Python of the virtual environment.
    if _HANDED_OVER not in sys._xoptions and posix.access(full, posix.X_OK):
        options = ["-I", "-S", "-X", "utf8", "-X", _HANDED_OVER]
        posix.execv(full, [full] + options + [__file__] + sys.argv[1:])  # noqa: RUF005
    sys.stderr.write(
        "cdi-runc: %s is Python %d.%d, and 3.10 or newer is needed: install one, and then cdi-runc again\n"  # noqa: UP031
        % ((sys.executable,) + sys.version_info[:2])  # noqa: RUF005
    )
    sys.exit(1)

import _signal  # type: ignore[import-not-found]  # noqa: E402

if callable(_signal.getsignal(_signal.SIGINT)):  # Python's own handler, which would print a traceback
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

_start = __file__.rpartition("/")[0]
sys.path.insert(0, _start[: -len("/cdi_runc/shim/start")])

umask = posix.umask(0o022)  # all users may read the byte code that root's first start leaves
try:
    from cdi_runc.shim.main import main

    # Where nothing can be written, compiling would only cost time.
    if posix.access(_start, posix.W_OK):
        from cdi_runc.shim.start.freeze import freeze

        freeze()
except ImportError as missing:
    sys.stderr.write("cdi-runc: its library is not complete (%s): install cdi-runc again\n" % missing)  # noqa: UP031
    posix._exit(1)
posix.umask(umask)
main(sys.argv)
