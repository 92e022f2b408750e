"""`python3 cdi-runc.pyz install` (or `uninstall`): for hosts that have nothing but Python 3.10 or newer.

It unpacks itself for as long as packaging/install runs, which takes PREFIX from the environment. No runtime runs from
the archive: to read one at each container would cost more than all the rest.
"""

import os
import subprocess
import sys
import tempfile
import zipfile

if sys.argv[1:] not in (["install"], ["uninstall"]):
    sys.exit("usage: [PREFIX=/usr/local] python3 cdi-runc.pyz install|uninstall")

os.environ.setdefault("PYTHON", sys.executable)
with tempfile.TemporaryDirectory(prefix="cdi-runc-") as tree:
    zipfile.ZipFile(os.path.dirname(__file__)).extractall(tree)
    os.chmod(os.path.join(tree, "packaging/bake"), 0o755)  # an extracted file is not executable
    status = subprocess.call(["sh", os.path.join(tree, "packaging", sys.argv[1])])
sys.exit(status)
