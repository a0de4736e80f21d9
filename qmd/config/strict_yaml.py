"""Strict reader for YAML input: plain values, and the line of every key.

It reads a subset without surprises. Where PyYAML would guess, it refuses or follows YAML 1.2:
``1e-3`` is a number, ``NO`` and ``1:30:00`` are text, ``010`` and ``.nan`` are errors. Anchors,
aliases, tags, merge keys, directives and a second document are refused while they are parsed,
before anything is built from them: a merge-key bomb of 736 bytes keeps PyYAML's safe loader busy
for 21 s (yaml/pyyaml#897).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.scanner import Scanner, ScannerError

from qmd.errors import InputError, quoted

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
"""Largest depth of nested containers, including the top one."""
MAX_NODES = 10_000
"""Largest number of values, more than any input needs; 1 MiB of `1,` would take 20 s to parse."""
MAX_DIGITS = 100
"""Largest number of characters of a number; above 4300 digits `int()` itself refuses."""

KeyPath = tuple[str | int, ...]
"""Path of a value: keys and list indices, from the top of the document."""

# A comment may hold tabs and odd spaces; before it they are invisible and change the meaning.
# Control characters, and line breaks that end a comment for some parsers only, are refused
# everywhere.
_BEFORE_COMMENT = re.compile(r"[^#]*")
_ODD_SPACE = re.compile(
    r"[\t\u00a0\u1680\u180e\u2000-\u200f\u202a-\u202f\u205f-\u206f\u3000\ufeff]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {
    text: value
    for value, word in ((True, "true"), (False, "false"))
    for text in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)
# Octal, decimal or text, depending on the program that reads it.
_AMBIGUOUS = re.compile(r"[-+]?(0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9][0-9_]*_[0-9_]*)")


@dataclass(frozen=True)
class Document:
    """Parsed file: plain dicts, lists and scalars, and the line of each key.

    Attributes
    ----------
    data : dict
        The top-level mapping; keys are always text.
    source : str
        Name of the file, for messages.
    lines : dict
        Line (from 1) of each key and list item.
    """

    data: dict[str, Any]
    source: str
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """Return the line of the key at `path`, or of its nearest parent; 0 for the top."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def where(self, path: KeyPath = ()) -> str:
        """Return ``source:line`` of `path`, for the start of a message."""
        line = self.line(path)
        return f"{self.source}:{line}" if line else self.source


def parse(text: str, source: str) -> Document:
    """Parse the text of one YAML file, a mapping.

    Parameters
    ----------
    text : str
        At most 1 MiB, nested at most 20 deep.
    source : str
        Name of the file, for messages.

    Returns
    -------
    Document

    Raises
    ------
    InputError
        If the text is not the YAML subset of this module; the message starts with
        ``source:line:`` and names the column where the fault is one of syntax.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise InputError(f"{source}: larger than {MAX_BYTES // 1024} KiB; this is no input file")
    text = text.removeprefix("\ufeff")  # the byte order mark some Windows editors write
    _refuse_invisible(text, source)
    return _Composer(text, source).document()


def parse_scalar(text: str) -> bool | int | float | str | None:
    """Return the value of a scalar given on the command line, by the rules of the file.

    Anything in single or double quotes is text.

    Raises
    ------
    InputError
        If the value is ambiguous, not finite or not one scalar.
    """
    text = text.strip(" ")
    for opening, kind in (("{", "mapping"), ("[", "list")):
        if text.startswith(opening):
            raise InputError(f"{quoted(text)} is a YAML {kind}; expected one plain value")
    if text[:1] in ("'", '"'):
        try:
            [value] = parse(f"value: {text}", "").data.values()
            return str(value)
        except (InputError, ValueError):
            raise InputError(f"{quoted(text)} is not one quoted text") from None
    try:
        return _resolve(text)
    except ValueError as error:
        raise InputError(str(error)) from None


def _resolve(text: str) -> bool | int | float | str | None:
    """Return the value of an unquoted scalar, or raise ValueError with the reason it has none."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a finite number")
    if _AMBIGUOUS.fullmatch(text):
        raise ValueError(
            f"{quoted(text)} is ambiguous: write a plain decimal number, or quote it if it is text"
        )
    if not _FLOAT.fullmatch(text):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters; at most {MAX_DIGITS} are read")
    value = int(text) if _INTEGER.fullmatch(text) else float(text)
    if not math.isfinite(value):
        raise ValueError(f"{quoted(text)} is too large for a number")
    return value


def _refuse_invisible(text: str, source: str) -> None:
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line.startswith("%"):
            raise InputError(f"{source}:{number}: YAML directives ('%') are not accepted")
        before = _BEFORE_COMMENT.match(line)
        odd = _CONTROL.search(line) or (before and _ODD_SPACE.search(before[0]))
        if odd:
            name = "tab" if odd[0] == "\t" else f"invisible character U+{ord(odd[0]):04X}"
            raise InputError(
                f"{source}:{number}: {name} in column {odd.start() + 1}",
                hint="indent and separate with ordinary spaces",
            )


class _BoundedScanner(Scanner):
    """Scanner that refuses deeply nested brackets as it meets them.

    The scanner looks 1024 characters ahead for a ``:``, at a cost quadratic in the open brackets:
    0.4 s for a line of `[` before the first event comes out.
    """

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: Any) -> None:
        if len(self.flow_context) >= MAX_DEPTH:
            raise ScannerError(
                problem=f"nested deeper than {MAX_DEPTH} levels",
                problem_mark=self.reader.get_mark(),
            )
        super().fetch_flow_collection_start(TokenClass, to_push)


class _Composer:
    """Builds plain containers from parser events and notes the line of each key."""

    def __init__(self, text: str, source: str) -> None:
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _BoundedScanner
        self.events: Iterator[Event] = yaml.parse(text)
        self.source = source
        self.lines: dict[KeyPath, int] = {}
        self.n_nodes = 0

    def document(self) -> Document:
        event = self.next()
        while isinstance(event, (StreamStartEvent, DocumentStartEvent)):
            event = self.next()
        if isinstance(event, StreamEndEvent):
            raise InputError(
                f"{self.source}: the file has no keys; expected lines of the form `key: value`",
                hint="`qmd init` prints an example of an input",
            )
        self.check(event, ())
        if not isinstance(event, MappingStartEvent):
            raise self.error(event, "expected lines of the form `key: value`")
        data = self.mapping(())
        while not isinstance(event, StreamEndEvent):
            event = self.next()
            if isinstance(event, DocumentStartEvent):
                raise self.error(event, "a second document starts here; one file is one input")
        return Document(data, self.source, self.lines)

    def node(self, event: Event, path: KeyPath) -> Any:
        self.check(event, path)
        if isinstance(event, MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(path)
        return self.scalar(event)

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := self.next(), MappingEndEvent):
            key = self.key(event, path)
            if key in result:
                raise self.error(
                    event,
                    f"key {quoted(key)} is given twice, first on line {self.lines[*path, key]}",
                )
            self.lines[*path, key] = event.start_mark.line + 1
            result[key] = self.node(self.next(), (*path, key))
        return result

    def sequence(self, path: KeyPath) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := self.next(), SequenceEndEvent):
            item = (*path, len(result))
            self.lines[item] = event.start_mark.line + 1
            result.append(self.node(event, item))
        return result

    def key(self, event: Event, path: KeyPath) -> str:
        """Return the text of a key; every key is text: ``on:`` is 'on', ``1:`` is '1'."""
        self.check(event, path)
        if not isinstance(event, ScalarEvent):
            raise self.error(event, "a key must be a word")
        key: str = event.value
        if key == "<<" and event.style is None:
            raise self.error(event, "merge keys ('<<') are not accepted")
        if not key:
            raise self.error(event, "a key is missing before ':'")
        return key

    def scalar(self, event: Event) -> Any:
        assert isinstance(event, ScalarEvent)  # all other nodes are taken or refused
        if event.style is not None:
            return event.value
        if event.start_mark.line != event.end_mark.line:
            raise self.error(event, "text runs on to the next line; align the keys, or quote it")
        try:
            return _resolve(event.value)
        except ValueError as error:
            raise self.error(event, str(error)) from None

    def check(self, event: Event, path: KeyPath) -> None:
        """Refuse aliases, anchors, tags, nodes that are nested too deeply, and too many nodes."""
        self.n_nodes += 1
        if not isinstance(event, NodeEvent) or event.anchor is not None:
            raise self.error(event, "anchors and aliases ('&', '*') are not accepted")
        if getattr(event, "ctag", None) is not None:
            raise self.error(event, "tags ('!') are not accepted")
        if len(path) >= MAX_DEPTH and not isinstance(event, ScalarEvent):
            raise self.error(event, f"nested deeper than {MAX_DEPTH} levels")
        if self.n_nodes > MAX_NODES:
            raise self.error(event, f"more than {MAX_NODES} values; this is no input file")

    def next(self) -> Event:
        try:
            return next(self.events)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = ", ".join(filter(None, (error.context, error.problem)))
            at = f":{mark.line + 1}: column {mark.column + 1}" if mark else ""
            raise InputError(f"{self.source}{at}: {what}") from None
        except Exception as error:  # bad escapes end in ValueError, IndexError and others there
            raise InputError(f"{self.source}: not YAML ({type(error).__name__})") from None

    def error(self, event: Event, what: str) -> InputError:
        mark = event.start_mark
        return InputError(f"{self.source}:{mark.line + 1}: column {mark.column + 1}: {what}")
