"""What several commands take: their options, with values checked before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import click

from salescoach.cli.language import Decorated, language_choice, say
from salescoach.wording import N_


def a_day(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """A day in its one spelling: refused before anything is read."""
    from salescoach.process import parse_day

    return None if value is None else parse_day(value, "--as-of").isoformat()


def in_a_folder(_context: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    """A file to write in a folder that is there."""
    if file is None or file.parent.is_dir():
        return file
    raise click.BadParameter(
        say("the folder {folder} does not exist. Make it, or name a file elsewhere.", folder=file.parent)
    )


def own_metrics(_context: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    """Metrics of one's own, registered before any name of a metric is read."""
    if file is not None:
        from salescoach.metrics import load_own

        load_own(file)
    return file


class LoadSettings(TypedDict):
    """How files are read, as `load_book` takes it."""

    source: str | None
    process: str | None
    as_of: str | None
    currency: str | None
    corrections: str | None


def load_options(command: Decorated) -> Decorated:
    """The files and the `LoadSettings` of a command that reads exports."""
    for option in reversed(LOAD_OPTIONS):
        command = option(command)
    return command


def files_argument(metavar: str) -> Callable[[Decorated], Decorated]:
    """Paths, folders, patterns and URLs: as text, because a URL is no path."""
    return click.argument("files", nargs=-1, metavar=metavar)


def as_of_option(text: str) -> Callable[[Decorated], Decorated]:
    return click.option("--as-of", callback=a_day, metavar="DATE", default=None, help=text)


def file_option(name: str, text: str) -> Callable[[Decorated], Decorated]:
    """--csv or --xlsx: a file to write, as the argument `csv_file` or `xlsx_file`; with --csv a folder too."""
    kind = click.Path(dir_okay=name == "csv", writable=True, path_type=Path)
    return click.option(f"--{name}", f"{name}_file", type=kind, callback=in_a_folder, metavar="F", help=text)


source_option = click.option(
    "--source", metavar="S", default=None, help="Preset or source file (.toml); detected from the headers if not given."
)
process_option = click.option(
    "--process", metavar="P", default=None, help="Process file (.toml); default: the source's, else the standard one."
)
reps_option = click.option(
    "--rep", "reps", multiple=True, metavar="R", help="From a database, only what this owner (rep_id) has; repeat it."
)
book_option = click.option(
    "--book", required=True, metavar="DIR", help='Folder of a book, or "demo" for the bundled demo data.'
)
language_option = language_choice(N_("Language of the pages and of what is said; default: that of the command line."))
said_option = language_choice(N_("Language of what is said; default: that of the command line. JSON is English."))
period_option = click.option(
    "--period", metavar="P", default=None, help="2026Q3, 2026-09, 2026-01..2026-06, last 90 days, FY2026Q3."
)
ledger_option = click.option(
    "--ledger",
    default="",
    metavar="FILE",
    envvar="SALESCOACH_LEDGER",
    help="Where commitments are kept: a file, a URL, or env:NAME (default: beside the book).",
)
own_option = click.option(
    "--own",
    type=click.Path(path_type=Path),
    callback=own_metrics,
    metavar="FILE",
    default=None,
    help="Python file with metrics of your own. It is run: give only one that you trust.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, in English.")
LOAD_OPTIONS = (
    files_argument("FILE…"),
    source_option,
    process_option,
    as_of_option(N_("The day the data speak of, such as 2026-09-30; default: their latest stamp.")),
    click.option("--currency", metavar="CUR", default=None, help="Currency of amounts that name none, such as CNY."),
    click.option(
        "--corrections",
        metavar="F",
        default=None,
        help="A quarantine.csv in which you repaired values: its rows take the place of those in the files.",
    ),
)


def known_ledger(ledger: str, book: str) -> str | None:
    """The ledger asked for, or the one beside the book; nothing where there is none yet."""
    from salescoach.coaching.ledger import ledger_of

    beside = ledger_of(book)
    return ledger or (str(beside) if beside.is_file() else None)
