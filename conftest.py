"""What holds for every test, wherever it is: signals are as a terminal gives them, and each reason is said once."""

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

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
    """Real containers take longest, and come first."""
    items.sort(key=lambda item: INTEGRATION not in item.path.parents)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Say what may run side by side (`pytest -n 2`): each file of tests, and all real containers.

    Two containers of one name would be in one cgroup, and daemons meet in the machine's network. So all of
    integration/ is one group. (The groups of xdist's own marks are lost with pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return INTEGRATION.name if path.startswith(f"{INTEGRATION.name}/") else path

    return Scheduling(config, log)


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
