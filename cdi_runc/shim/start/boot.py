"""Start the shim the slow way: `python3 -I -S boot.py FULL_PYTHON SELF LC_ALL STAT RUNTIME CONFIG ARGS...`.

For the first start with a version of Python, and after a change of the sources: it imports the hot modules one by one,
and freezes them for the next (freeze.py), which launcher.sh then starts from that one file.
"""

import _signal  # type: ignore[import-not-found]
import sys

if sys.version_info < (3, 10):  # noqa: UP036  # it may be any Python that runs this file
    sys.exit("cdi-runc: %s is Python %d.%d, and 3.10 or newer is needed" % (sys.executable, *sys.version_info[:2]))  # noqa: UP031

if callable(_signal.getsignal(_signal.SIGINT)):  # Python's own handler, which would print a traceback
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

sys.path.insert(0, __file__[: -len("/cdi_runc/shim/start/boot.py")])

from cdi_runc.shim.main import main
from cdi_runc.shim.start.freeze import freeze

freeze()
main(sys.argv)
