"""JSON texts and broken texts by chance, faster than hypothesis makes them."""

import json
import random
from collections.abc import Sequence
from typing import Any

_LETTERS = ["a", "B", "/", '"', "\\", "\n", "\u00e9", "\ud800", "\U0001f600", "\x7f", "1", ".", "e", " "]
_NUMBERS = ["0", "-1", "18446744073709551616", "1.10", "-0.0", "1e400", "1E-5", "0.1000000000000000055511151231257827"]
_SPACES = ["", "", "", " ", "\n", "\t", "\r\n "]
_PIECES = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    "\\",
    "\\u",
    "0",
    "-",
    ".",
    "e",
    "null",
    "NaN",
    "\0",
    "\ufeff",
    "\n",
    "&a ",
]


def word(choose: random.Random) -> str:
    """A short text."""
    return "".join(choose.choices(_LETTERS, k=choose.randrange(6)))


def json_text(choose: random.Random, depth: int = 3) -> str:
    """A JSON text, whose objects have each key once."""
    space = choose.choice(_SPACES)
    kind = choose.randrange(8 if depth else 5)
    if kind < 2:
        text = choose.choice(_NUMBERS)
    elif kind < 4:
        text = json.dumps(word(choose), ensure_ascii=choose.random() < 0.5)
    elif kind == 4:
        text = choose.choice(["true", "false", "null"])
    elif kind < 6:
        text = f"[{','.join(json_text(choose, depth - 1) for _ in range(choose.randrange(4)))}]"
    else:
        keys = {word(choose) for _ in range(choose.randrange(4))}
        pairs = (f"{json.dumps(key)}{choose.choice(_SPACES)}:{json_text(choose, depth - 1)}" for key in sorted(keys))
        text = f"{{{space}{','.join(pairs)}}}"
    return f"{space}{text}{choose.choice(_SPACES)}"


def value(choose: random.Random, depth: int = 2) -> Any:
    """What a JSON text may hold."""
    return json.loads(json_text(choose, depth))


def broken(text: str, choose: random.Random) -> str:
    """The text with some pieces taken out, put in, doubled or moved."""
    for _ in range(choose.randrange(1, 4)):
        start = choose.randrange(len(text) + 1)
        end = min(len(text), start + choose.randrange(8))
        way = choose.randrange(4)
        if way == 0:
            text = text[:start] + text[end:]
        elif way == 1:
            text = text[:start] + choose.choice(_PIECES) + text[start:]
        elif way == 2:
            text = text[:start] + text[start:end] * 2 + text[end:]
        else:
            to = choose.randrange(len(text) + 1)
            text = text[:to] + text[start:end] + text[to:]
    return text


def with_odd_values(data: Any, choose: random.Random, chance: float = 0.05) -> Any:
    """A copy in which some values are of another kind."""
    if choose.random() < chance:
        return value(choose)
    if isinstance(data, dict):
        return {key: with_odd_values(inner, choose, chance) for key, inner in data.items()}
    if isinstance(data, list):
        return [with_odd_values(inner, choose, chance) for inner in data]
    return data


def line_of(choose: random.Random, words: Sequence[str]) -> list[str]:
    """Some of the words."""
    return [choose.choice(words) for _ in range(choose.randrange(9))]
