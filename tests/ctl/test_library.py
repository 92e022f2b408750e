"""The examples of docs/library.md."""

import doctest
from pathlib import Path

from tests.ctl.docs import DOCS


def test_the_page_shows_what_the_library_does(tmp_path: Path) -> None:
    failed, tried = doctest.testfile(str(DOCS / "library.md"), module_relative=False, globs={"spec_dir": str(tmp_path)})
    assert failed == 0
    assert tried > 20
