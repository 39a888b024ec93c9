"""What looks like a secret is refused as a parameter and blackened in every message."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
_NAME = re.compile(r"passw|passphrase|secret|token|api_?key|access_?key|private_?key|credential|dsn|^pwd$|^key$", re.I)
_SHAPES = tuple(
    re.compile(shape, re.S)
    for shape in (
        r"(?<=://)[^\s/@:'\"]*:[^\s@'\"]+(?=@)",  # user:password in an address
        r"(?<=port: ['\"])[^'\"@\s]+(?=@)",  # half of such an address, as libraries quote it that take it for a port
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
        r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",  # JSON web token
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}",
        r"\bxox[abeoprs]-[\w-]{10,}",
        r"\b[sr]k_(?:live|test)_\w{10,}",
        r"\bAIza[\w-]{30,}",
        r"\bpat-(?:na|eu)\d?-[\w-]{20,}",
        r"\b00D\w{12,15}![\w.]{20,}",  # session of Salesforce
    )
)
_NAMED = re.compile(
    r"(?P<name>\b[\w-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|dsn|"
    r"authorization|\bsig(?==))[\w-]*[\"']?\s*(?:[:=]|=>)\s*(?:bearer\s+|basic\s+)?)(?P<quote>[\"']?)(?P<value>[^\s\"',;&}]{4,})",
    re.I,
)
_BEARER = re.compile(r"(?P<name>\b(?:bearer|basic)\s+)(?P<value>[\w.~+/=-]{12,})", re.I)


def looks_secret(name: str, value: Any) -> bool:
    """Whether a parameter is, by its name or its value, something that must not stand in a notebook."""
    return bool(_NAME.search(name)) or (isinstance(value, str) and blackened(value) != value)


def blackened(text: str) -> str:
    """The text without passwords, tokens and keys: *** in their place."""
    for shape in _SHAPES:
        text = shape.sub(HIDDEN, text)
    text = _NAMED.sub(lambda m: f"{m['name']}{m['quote']}{HIDDEN}", text)
    return _BEARER.sub(lambda m: f"{m['name']}{HIDDEN}", text)
