"""Looks for a text in whatever form a file may hide it: as it is, escaped, encoded, packed, or as pixels' words."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import re
import struct
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

DEPTH = 4
BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")
GROUPED = re.compile(r"(?<=\d)[,.'\u00a0\u202f ](?=\d{3})")


def hits(content: bytes, name: str, tokens: Iterable[str]) -> set[str]:
    """The tokens that stand in a file's content or in its name."""
    wanted = set(tokens)
    numbers = {t for t in wanted if t.isdigit()}
    lengths = {len(t) for t in numbers}
    digits = re.compile(rf"\d{{{min(lengths, default=1)},}}")
    found = {t for t in wanted if t in name}
    for text in texts(content):
        found |= {t for t in wanted - numbers - found if t in text}
        found |= numbers & {run[at : at + n] for run in digits.findall(text) for n in lengths for at in range(len(run))}
    return found


def texts(content: bytes, depth: int = 0) -> Iterator[str]:
    """Everything that could be read in these bytes."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "gb18030"):
        text = content.decode(encoding, errors="ignore")
        yield text
        if encoding == "utf-8":
            yield from _unescaped(text)
    if depth < DEPTH:
        for inner in _unpacked(content):
            yield from texts(inner, depth + 1)


def _unescaped(text: str) -> Iterator[str]:
    """Entities, percent signs, backslashes, thousands with separators."""
    for decode in (html.unescape, urllib.parse.unquote_plus, _backslashes, lambda t: GROUPED.sub("", t)):
        other = decode(text)
        if other != text:
            yield other
            yield GROUPED.sub("", html.unescape(other))


def _backslashes(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        try:
            return str(json.loads(f'"{found.group()}"'))
        except ValueError:
            return found.group()

    return re.sub(r"(?:\\u[0-9a-fA-F]{4})+|\\[\"/\\bfnrt]", one, text)


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                yield member.filename.encode()
                yield archive.read(member)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        yield from _words_of_picture(content)
    if content[:4] == b"PAR1":
        import pandas as pd

        yield pd.read_parquet(io.BytesIO(content)).to_csv().encode()
    if content[:16] == b"SQLite format 3\x00":
        return
    for run in BASE64.findall(content):
        try:
            yield base64.b64decode(run + b"=" * (-len(run) % 4))
        except ValueError:
            continue


def _words_of_picture(content: bytes) -> Iterator[bytes]:
    place = 8
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        body = content[place + 8 : place + 8 + length]
        if kind in (b"tEXt", b"iTXt", b"eXIf"):
            yield body
        if kind == b"zTXt":
            yield zlib.decompress(body.split(b"\x00", 1)[1][1:])
        place += 12 + length


def scan(folder: Path, tokens: Iterable[str]) -> dict[str, set[str]]:
    """{file: tokens found in it} for every file below a folder; empty where nothing was found."""
    wanted = list(tokens)
    found = {}
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        name = file.relative_to(folder).as_posix()
        if inside := hits(file.read_bytes(), name, wanted):
            found[name] = inside
    return found
