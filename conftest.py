"""What holds for every test, wherever it is: signals are as a terminal gives them, and each reason is said once."""

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

INTEGRATION = Path(__file__).with_name("integration")
ERRORS = pytest.StashKey[dict[int, tuple[BaseException, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests' children the default signal handlers and no blocked signal.

    `make test &` in a script ignores SIGINT and SIGQUIT, and nohup ignores SIGHUP. A child inherits what is ignored,
    but not a handler. So pytest gets a handler that does nothing: pytest still ignores the signal, its children don't.
    """
    config.stash[ERRORS] = {}
    if config.pluginmanager.hasplugin("hypothesispytest"):  # it is not there on all versions of Python
        from hypothesis import settings

        settings.register_profile("tests", deadline=None)  # a busy machine is no fault of ours
        settings.load_profile("tests")
    if hasattr(config, "workerinput"):  # pytest-xdist's workers say that every terminal is 80 wide
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
    for number in signal.valid_signals():
        if number != signal.SIGPIPE and signal.getsignal(number) == signal.SIG_IGN:  # subprocess restores SIGPIPE
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what may run side by side (`pytest -n 2 --dist loadgroup`): each file of tests, and all real containers.

    Two containers of one name would be in one cgroup, and daemons meet in the machine's network. So all of
    integration/ is one group. It takes longest and comes first.
    """
    items.sort(key=lambda item: INTEGRATION not in item.path.parents)
    for item in items:
        group = INTEGRATION if INTEGRATION in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the traceback of a shared fixture that fails for the first test that needs it, and not for all the others.

    pytest keeps the error of such a fixture and raises the same object again.
    """
    report = yield
    if report.when == "setup" and report.failed and call.excinfo is not None:
        error = call.excinfo.value
        _, first = item.config.stash[ERRORS].setdefault(id(error), (error, item.nodeid))
        if first != item.nodeid:
            report.longrepr = f"the set-up fails as it does for {first}"
    return report
