"""The coaching ledger on the command line: what was agreed, what became of it, and a person's rights to it."""

from __future__ import annotations

import csv
import getpass
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from salescoach.cli.command import Command, Group, print_json, tell
from salescoach.cli.language import language_choice, say
from salescoach.errors import InputError, Sentence, Unavailable, UsageError, joined, suggestion
from salescoach.wording import N_

if TYPE_CHECKING:
    from salescoach.coaching.ledger import Ledger

SESSION_COLUMNS = ("rep_id", "on", "stage", "minutes", "win", "discuss", "blocker")
BY = {"rep": N_("rep", "side"), "manager": N_("manager", "side")}
SHORT = 8

book_option = click.option("--book", metavar="DIR", help="The book beside which the ledger is kept.")
ledger_option = click.option(
    "--ledger", metavar="FILE", envvar="SALESCOACH_LEDGER", help="The ledger itself: a file, a URL, or env:NAME."
)
rep_option = click.option("--rep", required=True, metavar="R", help="The rep's id, or name if a book is given.")
on_option = click.option("--on", default=None, metavar="DAY", help="The day (default: today).")
reports_option = click.option(
    "--reports", metavar="DIR", default=None, help="The folder of the reports (--out of a batch): their pages too."
)
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, in English.")


@click.group(cls=Group)
def log() -> None:
    """The coaching ledger: add, list and close commitments; export or purge what is kept about a person."""


@log.command(cls=Command)
@book_option
@ledger_option
@rep_option
@on_option
@click.option("--by", default="rep", show_default=True, metavar="SIDE", help="Who promises: rep or manager.")
@click.option("--what", required=True, metavar="TEXT", help="What will be done.")
@click.option("--measure", default="", metavar="M", help="A metric, or words: what it will be seen by.")
@click.option("--stage", default="", metavar="S", help="The stage that it is about.")
@click.option("--deal", "deals", multiple=True, metavar="ID", help="A deal that it is about; may be repeated.")
@click.option("--due", default="", metavar="DAY", help="By when.")
def add(
    book: str | None,
    ledger: str | None,
    rep: str,
    on: str | None,
    by: str,
    what: str,
    measure: str,
    stage: str,
    deals: tuple[str, ...],
    due: str,
) -> None:
    """Add a commitment of the rep or of the manager."""
    opened, rep_id = _opened(book, ledger), _rep_id(book, rep)
    before = _value_now(book, rep_id, measure, stage) if book else None
    entry = opened.add_promise(rep_id, by, what, on or _today(), _me(), measure, stage, deals, due, before)
    told: str = "" if before is None else Sentence(", {measure} now {value:.4g}", measure=measure, value=before)
    tell("Noted as {entry}{told}.", entry=entry[:SHORT], told=told)


@log.command(cls=Command)
@book_option
@ledger_option
@rep_option
@on_option
@click.option("--stage", default="", metavar="S", help="The stage that it was about.")
@click.option("--minutes", type=click.IntRange(1, 600), default=None, help="How long it took.")
@click.option("--win", default="", metavar="TEXT", help="The rep's corner: a win.")
@click.option("--discuss", default="", metavar="TEXT", help="The rep's corner: what I want to discuss.")
@click.option("--blocker", default="", metavar="TEXT", help="The rep's corner: what is in my way.")
def session(
    book: str | None,
    ledger: str | None,
    rep: str,
    on: str | None,
    stage: str,
    minutes: int | None,
    win: str,
    discuss: str,
    blocker: str,
) -> None:
    """Note a conversation, with what the rep brought to it."""
    opened, rep_id = _opened(book, ledger), _rep_id(book, rep)
    entry = opened.add_session(rep_id, on or _today(), _me(), stage, minutes, win, discuss, blocker)
    tell("Noted as {entry}.", entry=entry[:SHORT])


@log.command(cls=Command)
@book_option
@ledger_option
@on_option
@click.option("--status", default="kept", show_default=True, help="kept, not kept or dropped, as the two agree.")
@click.option("--said", default="", metavar="TEXT", help="What was said of it.")
@click.argument("entry")
def close(book: str | None, ledger: str | None, on: str | None, status: str, said: str, entry: str) -> None:
    """Say what became of a commitment."""
    _opened(book, ledger).review(entry, status, on or _today(), said, _me())
    tell("{entry}: {status}.", entry=entry, status=status)


@log.command(cls=Command)
@book_option
@ledger_option
@rep_option
@on_option
@click.argument("said")
def note(book: str | None, ledger: str | None, rep: str, on: str | None, said: str) -> None:
    """Note something for the manager only: it reaches no page of the rep's."""
    entry = _opened(book, ledger).add_note(_rep_id(book, rep), said, on or _today(), _me())
    tell("Noted as {entry}.", entry=entry[:SHORT])


@log.command(cls=Command)
@book_option
@ledger_option
@rep_option
@on_option
@click.option("--value", default="", help="What the page says.")
@click.argument("number")
@click.argument("said")
def dispute(book: str | None, ledger: str | None, rep: str, on: str | None, value: str, number: str, said: str) -> None:
    """Dispute a number: which one, and why."""
    entry = _opened(book, ledger).dispute(_rep_id(book, rep), number, said, on or _today(), value, _me())
    tell("Noted as {entry}.", entry=entry[:SHORT])


@log.command(cls=Command)
@book_option
@ledger_option
@on_option
@click.argument("entry")
@click.argument("said")
def answer(book: str | None, ledger: str | None, on: str | None, entry: str, said: str) -> None:
    """Answer a disputed number."""
    _opened(book, ledger).answer(entry, said, on or _today(), _me())
    tell("{entry}: answered.", entry=entry)


@log.command("list", cls=Command)
@book_option
@ledger_option
@click.option("--rep", default=None, metavar="R", help="Of this rep only (id, or name if a book is given).")
@click.option("--all", "everything", is_flag=True, help="Closed commitments too.")
@json_option
def list_(book: str | None, ledger: str | None, rep: str | None, everything: bool, as_json: bool) -> None:
    """List commitments and disputed numbers that are open."""
    opened = _opened(book, ledger)
    promises, disputes = opened.promises_table(), opened.disputes_table()
    if rep is not None:
        rep_id = _rep_id(book, rep)
        promises, disputes = promises[promises["rep_id"] == rep_id], disputes[disputes["rep_id"] == rep_id]
    if not everything:
        promises, disputes = promises[promises["status"] == "open"], disputes[disputes["answer"].isna()]
    if as_json:
        found = {"commitments": promises.to_dict("records"), "disputes": disputes.to_dict("records")}
        print_json(found, indent=1)
        return
    if promises.empty and disputes.empty:
        tell(N_("Nothing is open.") if not everything else N_("Nothing is on record."))
    for row in promises.to_dict("records"):
        due: str = Sentence(", due {day}", day=row["due_on"]) if row["due_on"] else ""
        tell(
            "{id}  {on}  {rep}  by {by}: {what} ({status}{due})",
            id=row["promise_id"][:SHORT],
            on=row["on"],
            rep=row["rep_id"],
            by=say(BY.get(row["by"], row["by"])),
            what=row["what"],
            status=say(row["status"]),
            due=due,
        )
    for row in disputes.to_dict("records"):
        tell(
            "{id}  {on}  {rep}  disputes {number}: {said}",
            id=row["dispute_id"][:SHORT],
            on=row["on"],
            rep=row["rep_id"],
            number=row["number"],
            said=row["said"],
        )


@log.command(cls=Command)
@book_option
@ledger_option
@rep_option
@reports_option
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=None,
    metavar="PLACE",
    help="A new folder, or a file ending in .zip.",
)
@language_choice(N_("The language of what is written about the files."))
def export(book: str | None, ledger: str | None, rep: str, reports: str | None, to: Path | None, language: str) -> None:
    """Everything that is kept about a person: what the ledger holds, as JSON, the manager's notes too; with --to also
    their rows of the book as CSV, and with --reports their pages of every run."""
    opened, rep_id = _opened(book, ledger), _rep_id(book, rep)
    if to is None:
        if reports:
            raise UsageError("Pages are no JSON. Say where to: --to FOLDER, or --to FILE.zip.")
        print_json(opened.export(rep_id), indent=1)
        return
    from salescoach.cli.rights import kept_about, write_all

    files = kept_about(rep_id, opened, book, reports, language)
    write_all(files, to)
    tell("{n} files about {rep} in {place}.", n=len(files), rep=rep_id, place=to)


@log.command(cls=Command)
@book_option
@ledger_option
@rep_option
@reports_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(book: str | None, ledger: str | None, rep: str, reports: str | None, yes: bool) -> None:
    """Empty everything that the ledger holds about a person, for good; with --reports also take out their pages, and
    those that name them, of every run."""
    opened, rep_id = _opened(book, ledger), _rep_id(book, rep)
    if not yes:
        ask = N_("Empty everything that the ledger holds about {rep}, for good?")
        if reports:
            ask = N_(
                "Empty everything that the ledger holds about {rep}, and every page in {reports} about or naming them, "
                "for good?"
            )
        click.confirm(say(ask, rep=rep_id, reports=reports), abort=True)
    if reports:
        from salescoach.batch import purge_pages

        gone = purge_pages(reports, rep_id)
        tell(
            "{n} pages about {rep} purged, and {naming} that named them.", n=gone.pages, rep=rep_id, naming=gone.naming
        )
        if opened.entries(rep_id).empty:
            tell("The ledger holds nothing about them.")
            return
    tell("{n} entries emptied.", n=opened.purge(rep_id, _me()))


@log.command("import", cls=Command)
@book_option
@ledger_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(book: str | None, ledger: str | None, file: Path) -> None:
    """Add conversations from a CSV with the columns rep_id, on and, if known, stage, minutes, win, discuss, blocker."""
    rows = _read(file)
    opened = _opened(book, ledger)
    for row in rows:
        minutes = int(row["minutes"]) if row.get("minutes") else None
        texts = {name: row.get(name) or "" for name in ("win", "discuss", "blocker")}
        opened.add_session(str(row["rep_id"]), str(row["on"]), _me(), row.get("stage") or "", minutes, **texts)
    tell("{n} conversations added.", n=len(rows))


@log.command(cls=Command)
@book_option
@ledger_option
def verify(book: str | None, ledger: str | None) -> None:
    """Check that no entry was changed, put in or taken out by hand."""
    opened = _opened(book, ledger)
    problems = opened.verify()
    if problems:
        raise Altered("The ledger was changed by hand: {problems}.", problems=joined(problems[:10], "; "))
    tell("{n} entries, all as they were written.", n=len(opened.entries()))


class Altered(InputError):
    """Entries are not as they were written."""


def _opened(book: str | None, ledger: str | None) -> Ledger:
    from salescoach.coaching.ledger import ledger_of, open_ledger

    if ledger:
        return open_ledger(ledger)
    if not book:
        raise UsageError("Say which ledger: --book DIR for the one beside a book, or --ledger FILE.")
    return open_ledger(ledger_of(book))


def _rep_id(book: str | None, rep: str) -> str:
    """The id of somebody whom a book knows by id or name; without a book what is given is the id."""
    if not book:
        return rep
    from salescoach.cli.command import open_any

    return str(open_any(book).for_rep(rep).people["rep_id"].iloc[0])


def _value_now(book: str, rep_id: str, name: str, stage: str) -> float | None:
    """A rep's measure over the last 90 days; null where that is no figure, or cannot be known."""
    from salescoach.cli.command import open_any
    from salescoach.coaching.follow_up import measured

    try:
        return measured(name, stage, open_any(book).for_rep(rep_id)).value
    except Unavailable:
        return None


def _read(file: Path) -> list[Mapping[str, Any]]:
    """The rows of a CSV of conversations, all of them good. Raises InputError with file, line, column and value."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        names = reader.fieldnames or []
        for name in names:
            if name not in SESSION_COLUMNS:
                near = suggestion(name, SESSION_COLUMNS)
                raise InputError(
                    "{file}, line 1: no column {name!r} is known.{hint} Rename or remove it.",
                    file=file.name,
                    name=name,
                    hint=near,
                )
        for name in SESSION_COLUMNS[:2]:
            if name not in names:
                raise InputError("{file}, line 1: the column `{name}` is missing. Add it.", file=file.name, name=name)
        rows = [(reader.line_num, row) for row in reader]
    for line, row in rows:
        if not (row["rep_id"] or "").strip():
            raise InputError(
                "{file}, line {line}, column rep_id: it is empty. Write whom the session was with.",
                file=file.name,
                line=line,
            )
        try:
            date.fromisoformat(row["on"] or "")
        except ValueError:
            text = f"{file.name}, line {line}, column on: {row['on']!r} is no day. Write it as 2026-10-31."
            raise InputError(text) from None
        minutes = row.get("minutes")
        if minutes and not minutes.isdecimal():
            raise InputError(
                "{file}, line {line}, column minutes: {minutes!r} is no whole number of minutes.",
                file=file.name,
                line=line,
                minutes=minutes,
            )
    return [row for _, row in rows]


def _today() -> str:
    return date.today().isoformat()


def _me() -> str:
    """Who writes: the user of this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
