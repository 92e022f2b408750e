"""What holds for every test, wherever it is: signals are as a terminal gives them, and each reason is said once."""

import signal
from collections.abc import Generator

import pytest

ERRORS = pytest.StashKey[dict[int, tuple[BaseException, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests' children the default signal handlers and no blocked signal.

    `make test &` in a script ignores SIGINT and SIGQUIT, and nohup ignores SIGHUP. A child inherits what is ignored,
    but not a handler. So pytest gets a handler that does nothing: pytest still ignores the signal, its children don't.
    """
    config.stash[ERRORS] = {}
    for number in signal.valid_signals():
        if number != signal.SIGPIPE and signal.getsignal(number) == signal.SIG_IGN:  # subprocess restores SIGPIPE
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


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
