"""Strategies of hypothesis for damaged files: bytes, numbers, trees of JSON, texts of inputs."""

import json
import zipfile
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import mutations
from hypothesis import strategies as st

RNG = st.randoms(use_true_random=True)  # seeded by hypothesis: one draw for each case


def of_bytes(content: bytes) -> st.SearchStrategy[bytes]:
    """Flip, delete, insert, double or cut some bytes."""
    return st.builds(mutations.of_bytes, RNG, st.just(content))


def of_numbers(content: bytes) -> st.SearchStrategy[bytes]:
    """Put something odd in the place of a number."""
    return st.builds(mutations.of_numbers, RNG, st.just(content))


def of_tree(tree: Any) -> st.SearchStrategy[Any]:
    """Change, remove, rename or wrap one or two entries."""
    return st.builds(mutations.of_tree, RNG, st.just(tree))


def of_lines(content: bytes) -> st.SearchStrategy[bytes]:
    """Remove, double, swap or repeat lines."""
    return st.builds(_lines, RNG, st.just(content))


def _lines(rng: Any, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        kind = rng.randrange(4)
        if kind == 0 and len(lines) > 1:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[other])
        elif kind == 2:
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at:at] = [lines[other]] * rng.choice((5, 50, 2000))
    return b"".join(lines)


def of_text(content: bytes) -> st.SearchStrategy[bytes]:
    """Damage a text file in any of these ways."""
    return st.one_of(of_bytes(content), of_numbers(content), of_lines(content))


def of_archive(content: bytes, members: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """Damage the bytes of one member of a zip archive, whose checksums then fit."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        whole = {name: archive.read(name) for name in archive.namelist()}
    names = st.sampled_from(members or sorted(whole))

    def packed(name: str) -> st.SearchStrategy[bytes]:
        return of_bytes(whole[name]).map(lambda data: pack(whole | {name: data}))

    return names.flatmap(packed)


def pack(members: dict[str, bytes], compressed: bool = True) -> bytes:
    """Return a zip archive of these members."""
    buffer = BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def as_json(tree: Any) -> bytes:
    """Return a tree as JSON; what JSON cannot express becomes a text."""
    return json.dumps(tree, default=str).encode()


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
"""Any document."""
