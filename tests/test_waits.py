from pathlib import Path

import pytest

from tests.waits import faults


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("subprocess.run(['true'])", ["subprocess.run without timeout="]),
        ("subprocess.check_output(['true'], text=True)", ["subprocess.check_output without timeout="]),
        ("subprocess.run(['true'], timeout=1)", []),
        ("subprocess.run(['true'], **options)", []),
        ("process.wait()", ["wait() without a limit"]),
        ("process.communicate()", ["communicate() without a limit"]),
        ("process.wait(10)", []),
        ("async def test(): await event.wait()", []),
        ("thread.join()", ["join() without a limit"]),
        ("', '.join(words)", []),
        ("with subprocess.Popen([]): pass", ["`with Popen` waits without a limit: use tests.processes.ending"]),
        ("with ending(subprocess.Popen([])): pass", []),
    ],
)
def test_a_wait_without_a_limit_is_found(tmp_path: Path, line: str, said: list[str]) -> None:
    path = tmp_path / "test.py"
    path.write_text(line)
    assert list(faults(path)) == [f"{path}:1: {text}" for text in said]
