"""Terminal output, and text that tries to control the terminal."""

from __future__ import annotations

import os
import re
import unicodedata

from tests.support.program import Program

EVIL = (
    "[/foo] [bold red] \x1b[2J\x1b]0;t\x07 two\r\nlines \u202egnp.exe \u2066 \u200b \x9b31m \t :smile: \\[x]"
)
GROUP = "[red][bold]\\[x] :smile: 日本 e\u0301"
WIDTHS = [80, 120, 160]


def control_characters(text: str) -> list[str]:
    """The characters in a text that control a terminal, other than line feeds."""
    return [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


def shown(program: Program, width: int, *arguments: str) -> str:
    """The output of `recorder completion` on a terminal of `width` columns, without colours."""
    terminal = program.using(FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color", COLUMNS=str(width))
    return re.sub(r"\x1b\[[\d;]*m", "", terminal.ok("completion", *arguments))


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def read_all(terminal: int) -> str:
    """Read the output of a terminal until the last program closes it."""
    shown = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:
            return shown.decode()
        if not read:
            return shown.decode()
        shown += read
