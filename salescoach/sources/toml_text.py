"""Texts of any kind as they may stand in a TOML file: as values, in lists, and in comments."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable

from salescoach.errors import Sentence, joined

SHOWN = 40
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # control, format and broken characters: nobody sees them


def quoted(text: str) -> str:
    """A TOML string with everything escaped: JSON's escapes are TOML's, but for DEL and halves of a character."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007F")


def quoted_list(texts: Iterable[str]) -> str:
    return f"[{', '.join(quoted(t) for t in texts)}]"


def inline(pairs: dict[str, str]) -> str:
    """An inline table: { "theirs" = "ours" }."""
    return "{ " + ", ".join(f"{quoted(k)} = {quoted(v)}" for k, v in pairs.items()) + " }"


def commented(line: str, comment: str) -> Sentence:
    """A line with a comment behind it, where there is one."""
    return joined([line, "   # ", comment], "") if comment else Sentence(line)


def remark(text: str) -> str:
    """A text in one line of a comment, without what nobody sees, and short."""
    plain = " ".join("".join(" " if unicodedata.category(c) in HIDDEN else c for c in text).split())
    return plain if len(plain) <= SHOWN else f"{plain[: SHOWN - 1]}…"
