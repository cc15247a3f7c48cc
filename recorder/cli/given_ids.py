"""The ids of groups as people give them: as arguments, a line each in a file, or somewhere in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import unquote

from recorder.ledger.group_id import check_taskgroup_id

_USUAL = re.compile("tgrp_[0-9a-f]{32}")
_LINK = r"""https?://[^\s"'<>`\\]*?/tasks/groups/(?P<linked>[^\s"'<>`\\/?#,;()\[\]{}$…]+)"""
_ID = r"tgrp_[0-9a-f]{32}(?![0-9A-Za-z])|tgrp_[0-9A-Za-z]+(?:[-_][0-9A-Za-z]+)*"
_IN_TEXT = re.compile(f"{_LINK}|(?P<id>{_ID})")
_ELLIPSIS = re.compile(r"…|\.\.\.")
_QUOTES = set("\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
              "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}")  # fmt: skip
_AS_IT_IS = "--exact takes it as it is"
_NAMED = 3
"""How many unusual ids a warning names."""


@dataclass(slots=True)
class GivenIds:
    """Ids to watch, each once and in the order given, and a complaint about each that cannot be used.

    `created` are groups that programs have created, each with how many runs were added to it by key.
    """

    ids: dict[str, None] = field(default_factory=dict)
    created: dict[str, Mapping[str, int]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def add(self, texts: Iterable[str], check: Callable[[str], str]) -> None:
        """Add what `check` returns for each text, and a complaint where it raises ValueError."""
        for text in texts:
            try:
                self.ids[check(text)] = None
            except ValueError as error:
                self.complaints.append(f"{text[:80]!a}: {error}")

    def add_text(self, lines: Iterable[str]) -> None:
        """Add every id, and the id in every link to a group, that occurs in a text."""
        for line in lines:
            for match in _IN_TEXT.finditer(line):
                self.add([match.group()], partial(_id_of, match))


def check_given(text: str) -> str:
    """Return an id without the white space around it.

    Raises:
        ValueError: it is no id, or has a character that looks like a slip; the message says what to do.
    """
    text = text.strip()
    if any(character.isspace() for character in text):
        raise ValueError(
            "contains white space; give each id as an argument of its own, or pipe the text into "
            f"recorder watch -; {_AS_IT_IS}"
        )
    if "," in text:
        raise ValueError(f"contains a comma; separate ids with spaces; {_AS_IT_IS}")
    if set(text) & _QUOTES:
        raise ValueError(f"contains a quotation mark; leave it out; {_AS_IT_IS}")
    if _ELLIPSIS.search(text):
        raise ValueError(f"contains an ellipsis, as a placeholder does; give the whole id; {_AS_IT_IS}")
    return check_taskgroup_id(text)


def unusual_text(ids: Collection[str]) -> str | None:
    """Return a warning about ids that do not look like the provider's, None if all do."""
    unusual = [one for one in ids if not _USUAL.fullmatch(one)]
    if not unusual:
        return None
    named = ", ".join(f"{one[:80]!a}" for one in unusual[:_NAMED])
    more = f" and {len(unusual) - _NAMED:,} more" if len(unusual) > _NAMED else ""
    verb = "does not look" if len(unusual) == 1 else "do not look"
    return f"{named}{more} {verb} like the provider's ids, tgrp_ and 32 hexadecimal digits"


def _id_of(match: re.Match[str], _text: str) -> str:
    """Return the id in a match, which must be whole: where a text was shortened, it ends in an ellipsis."""
    found = match["id"] or unquote(match["linked"])
    if not _USUAL.fullmatch(found):
        if found.endswith("...") or _ELLIPSIS.match(match.string, match.end()):
            raise ValueError("is cut short in the text; give the whole id")
        found = found.rstrip(".:!")
    return check_taskgroup_id(found)
