"""docs/messages.md explains every message of the shim that a user can meet, and no other."""

from tests.ctl.messages import PAGE, of_the_page, of_the_sources


def test_the_page_explains_every_message() -> None:
    explained = of_the_page(PAGE.read_text("utf-8"))
    unexplained = {f"{message} ({where})" for message, where in of_the_sources() if message not in explained}
    assert not unexplained


def test_the_page_explains_no_message_that_is_gone() -> None:
    gone = of_the_page(PAGE.read_text("utf-8")) - {message for message, _ in of_the_sources()}
    assert not gone
