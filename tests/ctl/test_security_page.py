"""docs/security.md: each promise names tests that are there, and each policy on the page is one."""

import re
from pathlib import Path

import pytest

from cdi_runc.host import policy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
PROMISES = re.findall(r"`(\S+\.py)::(\w+)`", PAGE)
POLICIES = re.findall(r"policy\.yaml -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("path", "test"), PROMISES)
def test_a_promise_has_its_test(path: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("text", POLICIES)
def test_a_policy_of_the_page_has_rules_that_decide(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    (tmp_path / "policy.yaml").chmod(0o644)
    found = policy.read(str(tmp_path / "policy.yaml"))
    assert found["fault"] == ""
    assert list(policy.idle_rules(found["rules"])) == []


def test_there_are_some() -> None:
    assert (len(PROMISES) > 10, len(POLICIES)) == (True, 4)
