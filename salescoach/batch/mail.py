"""Published pages sent by e-mail: each to the one address that `reps` has for its rep, and to nobody else."""

from __future__ import annotations

import hashlib
import os
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from salescoach.batch.durable import locked
from salescoach.batch.journal import Journal
from salescoach.batch.plan import FOLDERS, Mail
from salescoach.batch.published import CURRENT, read_manifest
from salescoach.book import Book
from salescoach.errors import Sentence, UsageError
from salescoach.wording import N_, words

SENT = "mail.jsonl"
SUBJECT = N_("Your page for the one-to-one, data as of {day}")
TEXT = N_("Your page is attached: open it in any browser. It was sent to you alone.")
TIMEOUT = 30


@dataclass(frozen=True)
class Delivery:
    """What was sent by this call: pages sent now, pages sent before, and why others were not (one sentence each)."""

    sent: int
    before: int
    unsent: tuple[str, ...]


@dataclass(frozen=True)
class _Letter:
    subject: str
    name: str
    language: str
    file: str
    content: bytes
    key: str
    address: str


def deliver(out: str | Path, book: Book, mail: Mail) -> Delivery:
    """Send the newest run's pages for reps, each to the address in the column `email` of `reps` of that rep.

    A page is sent once to an address for as long as it is the same, byte for byte; what was sent stands in
    OUT/mail.jsonl, without addresses. Should the machine stop between a server's yes and that line, the page is sent
    again with the same Message-ID. Pages for managers, teams and the company, and stale pages, are never sent.
    Raises UsageError where the password's environment variable is not set.
    """
    password = _password(mail)
    with locked(Path(out)):
        letters, unsent = _letters(Path(out), book)
        journal = Journal(Path(out) / SENT)
        due = [letter for letter in letters if letter.key not in journal.made()]
        if due:
            unsent += _send(due, mail, password, journal, book)
    return Delivery(sum(letter.key in journal.made() for letter in due), len(letters) - len(due), tuple(unsent))


def _letters(out: Path, book: Book) -> tuple[list[_Letter], list[str]]:
    letters: list[_Letter] = []
    unsent: list[str] = []
    reports = (read_manifest(out) or {"reports": []})["reports"]
    own = [r for r in reports if r["per"] == "rep" and r["file"].startswith(f"{FOLDERS['rep']}/")]
    for report in own:
        content = _as_made(out, report)
        address, why = _address(book, report["subject"])
        if content is None:
            why = Sentence("it is missing, stale or was changed after the run")
        if why or content is None:
            unsent.append(Sentence("{file}: {why}.", file=report["file"], why=why))
            continue
        key = hashlib.sha256(f"{address}\n{report['sha256']}".encode()).hexdigest()
        told = (report["subject"], report["name"], report["language"], report["file"])
        letters.append(_Letter(*told, content, key, address))
    return letters, unsent


def _as_made(out: Path, report: dict[str, Any]) -> bytes | None:
    """The page, if it is of this run and nobody has touched it."""
    file = out / CURRENT / report["file"]
    if report["stale"] or report["status"] != "done" or not file.is_file():
        return None
    content = file.read_bytes()
    return content if hashlib.sha256(content).hexdigest() == report["sha256"] else None


def _address(book: Book, rep: str) -> tuple[str, str]:
    """The address of a rep, or the reason why there is none that is surely theirs."""
    if not book.has("reps", "email"):
        return "", Sentence("reps has no column email")
    known = book.table("reps")[["rep_id", "email"]].dropna()
    known = known.assign(rep_id=known["rep_id"].astype(str), email=known["email"].astype(str).str.strip())
    mine = sorted(set(known.loc[known["rep_id"] == rep, "email"]) - {""})
    if len(mine) != 1:
        return "", (
            Sentence("reps has several addresses for {rep}", rep=rep)
            if mine
            else Sentence("reps has no address for {rep}", rep=rep)
        )
    others = known.loc[known["rep_id"] != rep, "email"].str.casefold()
    if mine[0].casefold() in set(others):
        return "", Sentence("the address of {rep} is also that of somebody else", rep=rep)
    try:
        parsed = Address(addr_spec=mine[0])
    except (MessageError, ValueError, IndexError):
        parsed = None
    sound = parsed is not None and parsed.domain and parsed.username and mine[0].isascii() and mine[0].isprintable()
    return (mine[0], "") if sound else ("", Sentence("the address of {rep} is no address", rep=rep))


def _send(due: Sequence[_Letter], mail: Mail, password: str, journal: Journal, book: Book) -> list[str]:
    """Send over one connection. Returns what could not be sent; a refused page does not hold up the next."""
    unsent: list[str] = []
    try:
        with _connection(mail, password) as server:
            for letter in due:
                try:
                    server.send_message(_message(letter, mail, book))
                except smtplib.SMTPServerDisconnected:
                    raise
                except smtplib.SMTPException as error:
                    unsent.append(
                        Sentence("{file}: the mail server refused it ({code}).", file=letter.file, code=_code(error))
                    )
                else:
                    journal.add({"key": letter.key, "file": letter.file})
    except (OSError, smtplib.SMTPException) as error:
        left = [letter for letter in due if letter.key not in journal.made()]
        told = {line.partition(":")[0] for line in unsent}
        unsent += [
            Sentence("{file}: {host} did not take it ({code}).", file=letter.file, host=mail.host, code=_code(error))
            for letter in left
            if letter.file not in told
        ]
    return unsent


def _connection(mail: Mail, password: str) -> smtplib.SMTP:
    """Logged in; with a certificate that is checked, unless the plan says `security = "none"`."""
    if mail.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            mail.host, mail.port, timeout=TIMEOUT, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=TIMEOUT)
    try:
        if mail.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if mail.user:
            server.login(mail.user, password)
    except BaseException:
        server.close()
        raise
    return server


def _message(letter: _Letter, mail: Mail, book: Book) -> EmailMessage:
    say = words(letter.language)
    message = EmailMessage()
    message["From"], message["To"] = mail.sender, letter.address
    message["Subject"] = say(SUBJECT, day=say.date(book.as_of_on))
    message["Message-ID"] = f"<{letter.key[:40]}@{mail.sender.rpartition('@')[2]}>"
    message.set_content(say(TEXT))
    name = Path(letter.file).name
    message.add_attachment(letter.content, maintype="text", subtype="html", filename=name, params={"charset": "utf-8"})
    return message


def _code(error: Exception) -> str:
    """The kind of failure and the server's number; never its words, which hold addresses."""
    number = getattr(error, "smtp_code", None)
    return type(error).__name__ if number is None else f"{type(error).__name__} {number}"


def _password(mail: Mail) -> str:
    if not mail.user:
        return ""
    found = os.environ.get(mail.password_env, "")
    if not found:
        raise UsageError(
            "The plan's [mail] has a user, but the environment variable {name} is not set. Nothing was "
            "sent; the reports are published.",
            name=mail.password_env or Sentence("named by password_env"),
        )
    return found
