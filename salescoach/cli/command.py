"""What every subcommand has: an example below its help, JSON for pipes, and one check before anything is published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from salescoach.errors import UsageError
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
    "why": "salescoach why reports R01",
    "log add": 'salescoach log add --book my-book --rep R01 --by rep --what "quotes within two days" --due 2026-12-01',
    "batch": "salescoach batch --book my-book --plan weekly --out reports",
}


class Command(click.Command):
    """A subcommand whose help ends with an example, and with the presets where it takes one."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if example := EXAMPLES.get(ctx.command_path.partition(" ")[2]):
            formatter.write(f"\nExample:\n  {example}\n")
        if any(option.name == "source" for option in self.params):
            from salescoach.sources import presets

            formatter.write("\n")
            formatter.write_text(f"Presets: {', '.join(presets())}.")


def tell(text: object = "", err: bool = False) -> None:
    """Print a line; what a terminal would take for a command is shown as text."""
    click.echo(str(text).translate(VISIBLE), err=err)


def print_json(content: object) -> None:
    tell(json.dumps(content, ensure_ascii=False, default=str))


def summary(book: Book) -> str:
    """One line on what was loaded."""
    rows = ", ".join(f"{len(t):,} {n}" for n, t in book.tables.items())
    return f"{rows}; {len(book.quarantine):,} rows set aside; as of {book.as_of_on.date()}."


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
