"""Seeded damage to files: bytes, numbers, and entries of JSON."""

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

ODD_NUMBERS = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e999", "-1", "0", "hot", "", "0x10", "9" * 400,
    "1,5",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**64, 10**30, 10**400, -0.0, 0.5, 1e-320, 1e308,
    -1e308, float("nan"), float("inf"), "", "x", "\x00", "\x1b[2J", "../up", "9" * 5000, [], {},
    [[]], [0], ["H"], {"kind": "x"}, [1e308] * 3,
)  # fmt: skip


def of_bytes(rng: random.Random, content: bytes) -> bytes:
    """Flip, delete, insert, double or cut some bytes, at one to three places."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 8, 80))
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = rng.choice((rng.randbytes(size), b"\x00" * size, b"\n", b"\r", b'"'))
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4 and at < len(data):
            data[at : at + size] = rng.randbytes(size)
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


def of_numbers(rng: random.Random, content: bytes) -> bytes:
    """Put something odd in the place of a number."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return content
    place = rng.choice(found)
    new = rng.choice(ODD_NUMBERS).encode()
    return content[: place.start()] + new + content[place.end() :]


def of_json(rng: random.Random, content: bytes) -> bytes:
    """Change, remove, rename or wrap one or two entries."""
    return json.dumps(of_tree(rng, json.loads(content))).encode()


def of_tree(rng: random.Random, tree: Any) -> Any:
    """Change, remove, rename or wrap one or two entries of a copy of `tree`."""
    changed = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 2)):
        places = list(_places(changed))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[str(key).upper() + "s"] = holder.pop(key)
        elif kind == 2:
            for _ in range(rng.choice((1, 50))):
                holder[key] = rng.choice(([holder[key]], {"a": holder[key]}))
        elif kind == 3 and isinstance(holder[key], (int, float)):
            holder[key] = holder[key] * rng.choice((-1, 10, 1e300)) + rng.choice((0, 1))
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return changed


def _places(tree: Any) -> Any:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], (dict, list)) and tree[key]:
            yield from _places(tree[key])


KINDS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "bytes": of_bytes,
    "numbers": of_numbers,
    "json": of_json,
}
