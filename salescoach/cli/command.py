"""What every subcommand has: an example below its help, JSON for pipes, and one check before anything is published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from salescoach.cli.language import SpokenCommand, SpokenGroup, say
from salescoach.errors import UsageError, commas
from salescoach.wording import VISIBLE

if TYPE_CHECKING:
    from salescoach.book import Book

EXAMPLES = {
    "demo": "salescoach demo --language zh",
    "init": "salescoach init my-kit\n  salescoach init --from-data export.csv my-kit",
    "check": "salescoach check exports/ --source maven",
    "load": "salescoach load exports/ --book my-book",
    "snapshot": "salescoach snapshot exports/ --store snapshots",
    "metrics": "salescoach metrics win_rate --book my-book --by team,quarter --period 2026\n"
    "  salescoach metrics stage_flow --book my-book --option rule=strict\n"
    "  salescoach metrics win_rate --explain",
    "forecast": "salescoach forecast --book my-book --period 2026Q4\n"
    "  salescoach forecast --book my-book --team Harbour --json\n"
    "  salescoach forecast --book my-book --since 2026-09-23",
    "trust": "salescoach trust --book my-book --period 2026Q3",
    "reconcile": "salescoach reconcile win_rate --book my-book --period 2026Q3 --figure 0.42\n"
    "  salescoach reconcile win_rate --book my-book --period 2026Q3 --report theirs.csv",
    "report": "salescoach report rep_review --book my-book --rep R01 --period 2026Q3",
    "app": "salescoach app --book my-book --rep R01",
    "verify": "salescoach verify reports",
    "why": 'salescoach why reports R01\n  salescoach why reports "Ana Souza"',
    "log": 'salescoach log add --book my-book --rep R01 --by rep --what "quotes within two days" --due 2026-12-01',
    "log add": 'salescoach log add --book my-book --rep R01 --by rep --what "quotes within two days" --due 2026-12-01',
    "log session": 'salescoach log session --book my-book --rep R06 --stage quote --win "closed Hazel Schools"',
    "log close": 'salescoach log close 3f2a91bc --book my-book --status "not kept" --said "two quotes were late"',
    "log note": 'salescoach log note --book my-book --rep R06 "wants to lead a team"',
    "log dispute": 'salescoach log dispute --book my-book --rep R06 "win rate 2026Q3" "two of the deals are not mine"',
    "log answer": 'salescoach log answer 3f2a91bc "they were moved to Bo: now 34 %" --book my-book',
    "log list": 'salescoach log list --book my-book --rep "Ana Souza"',
    "log export": "salescoach log export --book my-book --rep R06 > R06.json\n"
    "  salescoach log export --book my-book --rep R06 --reports reports --to R06.zip",
    "log purge": "salescoach log purge --book my-book --rep R06 --reports reports",
    "log import": "salescoach log import coaching.csv --book my-book",
    "log verify": "salescoach log verify --book my-book",
    "batch": "salescoach batch --book my-book --plan weekly --out reports",
}


class Group(SpokenGroup):
    """The command itself, or a subcommand with subcommands: its help ends with an example, where it has one."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_example(ctx, formatter)


class Command(SpokenCommand):
    """A subcommand whose help ends with an example, and with the presets where it takes one."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_example(ctx, formatter)
        if any(option.name == "source" for option in self.params):
            from salescoach.sources import presets

            formatter.write("\n")
            formatter.write_text(say("Presets: {names}.", names=commas(presets())))


def _write_example(ctx: click.Context, formatter: click.HelpFormatter) -> None:
    if example := EXAMPLES.get(ctx.command_path.partition(" ")[2]):
        formatter.write(f"\n{say('Example:')}\n  {example}\n")


def tell(text: str = "", /, *, err: bool = False, **values: object) -> None:
    """Print a line in the reader's language; what a terminal would take for a command is shown as text."""
    put(say(text, **values), err)


def put(text: str, err: bool = False) -> None:
    """Print a line that is said already, or is no sentence."""
    click.echo(text.translate(VISIBLE), err=err)


def print_json(content: object, indent: int | None = None) -> None:
    put(json.dumps(content, ensure_ascii=False, indent=indent, default=str))


def summary(book: Book) -> str:
    """One line on what was loaded."""
    rows = commas(f"{len(t):,} {n}" for n, t in book.tables.items())
    day = book.as_of_on.date()
    return say("{rows}; {n:,} rows set aside; as of {day}.", rows=rows, n=len(book.quarantine), day=day)


def open_any(book: str) -> Book:
    """A saved book, or the demo."""
    from salescoach.reports import find_book

    return find_book(book)


def scoped(book: Book, rep: str | None, team: str | None, as_of: str | None, currency: str | None = None) -> Book:
    """The book at a past day, its amounts in one currency, of one rep or one team."""
    if rep and team:
        raise UsageError("Give --rep or --team, not both.")
    if as_of:
        book = book.at(as_of)
    if currency:
        from salescoach.book import in_currency

        book = in_currency(book, currency)
    return book.for_rep(rep) if rep else book.for_team(team) if team else book


def fit_to_publish(book: Book) -> Book:
    """The book, if its numbers add up. Raises LawBroken (exit code 70), before anything is written.

    The one place where publishing starts: a book that is saved, a report and a batch come through here.
    """
    from salescoach.metrics import check_numbers

    check_numbers(book)
    return book
