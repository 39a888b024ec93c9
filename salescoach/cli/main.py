"""Subcommands, their options and their exit codes. Everything is imported where it is used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from salescoach import __version__
from salescoach.errors import SalescoachError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from salescoach.batch import Order, Outcome, Run
    from salescoach.book import Book

DEMO_OUT = "salescoach-demo"
DEMO_TEAM = "Harbour"
DEMO_PERIOD = "2026-01..2026-09"

EXAMPLES = {
    "demo": "salescoach demo --language zh",
    "check": "salescoach check exports/ --source maven",
    "load": "salescoach load exports/ --book my-book",
    "metrics": "salescoach metrics win_rate --book my-book --by team,quarter --period 2026",
    "report": "salescoach report rep_review --book my-book --rep R01 --period 2026Q3",
    "batch": "salescoach batch --book my-book --plan weekly --out reports",
}


class Command(click.Command):
    """A subcommand whose help ends with an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\nExample:\n  {EXAMPLES[str(self.name)]}\n")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="salescoach")
def cli() -> None:
    """From a CRM export to one honest page per one-to-one."""


def main() -> None:
    """Run the command; an error of ours is one message and its exit code, never a traceback."""
    try:
        cli(standalone_mode=False)
    except SalescoachError as error:
        click.echo(f"salescoach: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("salescoach: stopped.", err=True)
        sys.exit(130)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except OSError as error:
        click.echo(f"salescoach: {error.strerror or error} ({error.filename}).", err=True)
        sys.exit(74)


book_option = click.option(
    "--book", required=True, metavar="DIR", help='Folder of a book, or "demo" for the bundled demo data.'
)
language_option = click.option(
    "--language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of the pages."
)
period_option = click.option(
    "--period", metavar="P", default=None, help="2026Q3, 2026-09, 2026-01..2026-06, last 90 days, FY2026Q3."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
FILES = click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE…")


def open_any(book: str) -> Book:
    from salescoach.reports import find_book

    return find_book(book)


# --- demo ------------------------------------------------------------------------------------------


@cli.command(cls=Command)
@click.option("--out", default=DEMO_OUT, metavar="DIR", show_default=True, help="Where the book and the reports go.")
@click.option("--book-only", is_flag=True, help="Build the book and stop.")
@language_option
@click.option("--workers", type=click.IntRange(1), default=None, help="Reports at a time (default: one per core).")
def demo(out: str, book_only: bool, language: str, workers: int | None) -> None:
    """Build the book of the bundled demo data and make every report for one team and each of its reps."""
    from salescoach.batch import Order, PlanFile, run_batch
    from salescoach.book import save_book
    from salescoach.sources import sample_book

    click.echo("Building the book from the demo data …")
    book = sample_book()
    folder = save_book(book, Path(out) / "book")
    click.echo(summary(book))
    if book_only:
        click.echo(f"Book: {folder}")
        return
    reps = book.people.loc[book.people["team"] == DEMO_TEAM, "rep_id"]
    plan = PlanFile(
        language=language,
        period=DEMO_PERIOD,
        reports=(
            Order(notebook="start_here", per="company"),
            Order(notebook="funnel", per="company"),
            Order(notebook="team_roster", per="team", only=(DEMO_TEAM,)),
            Order(notebook="team_review", per="team", only=(DEMO_TEAM,)),
            Order(notebook="rep_review", per="rep", only=tuple(reps)),
        ),
    )
    finish(run_with_progress(run_batch, book, plan, out, workers))


def run_with_progress(run_batch: Any, book: Book, plan: Any, out: str, workers: int | None) -> Run:
    """Run a batch with a progress bar, or one line per report where the output is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reports", total=None)

        def show(outcome: Outcome, finished: int, total: int) -> None:
            bar.update(task, completed=finished, total=total)
            if not console.is_terminal or outcome.status != "done":
                words = f"{outcome.seconds:.0f} s" if outcome.status == "done" else f"failed: {outcome.error}"
                click.echo(f"[{finished}/{total}] {outcome.file} ({words})", err=True)

        run: Run = run_batch(book, plan, out, workers=workers, progress=show)
    return run


def finish(run: Run) -> None:
    """Say what was made and what to open; exit 3 if a report is missing."""
    done = len(run.outcomes) - len(run.failed)
    click.echo(f"{done} of {len(run.outcomes)} reports made.")
    for outcome in run.failed:
        click.echo(f"  failed: {outcome.file}: {outcome.error}", err=True)
    click.echo(f"Open {run.index}")
    if run.exit_code:
        sys.exit(run.exit_code)


def summary(book: Book) -> str:
    """One line on what was loaded."""
    rows = ", ".join(f"{len(t):,} {n}" for n, t in book.tables.items())
    return f"{rows}; {len(book.quarantine):,} rows set aside; as of {book.as_of_on.date()}."


# --- check and load --------------------------------------------------------------------------------


def load_options(command: Any) -> Any:
    for option in (
        click.option(
            "--source",
            metavar="S",
            default=None,
            help="Preset or source file (.toml); detected from the headers if not given.",
        ),
        click.option(
            "--process", metavar="P", default=None, help="Process file (.toml); default: the standard five stages."
        ),
        click.option(
            "--as-of", metavar="DATE", default=None, help="The day the data speak of; default: their latest stamp."
        ),
        click.option(
            "--currency", metavar="CUR", default=None, help="Currency of amounts that name none, such as CNY."
        ),
    ):
        command = option(command)
    return FILES(command)


@cli.command(cls=Command)
@load_options
@json_option
def check(
    files: tuple[Path, ...],
    source: str | None,
    process: str | None,
    as_of: str | None,
    currency: str | None,
    as_json: bool,
) -> None:
    """Say what the files hold, what is set aside and why, and what each table unlocks. Writes nothing."""
    from salescoach.book import TABLES
    from salescoach.metrics import METRICS, measure
    from salescoach.sources import check_tolerance, load_book

    book = load_book(files, source=source, process=process, as_of=as_of, currency=currency)
    found = {name: measure(book, name, by=()) for name in METRICS}
    if as_json:
        click.echo(
            json.dumps(
                {
                    "origin": dict(book.origin),
                    "as_of": book.as_of_on.date().isoformat(),
                    "quality": dict(book.quality),
                    "quarantine": json.loads(book.quarantine.to_json(orient="records", force_ascii=False)),
                    "metrics": {n: {"available": m.available, "because": m.because} for n, m in found.items()},
                },
                ensure_ascii=False,
                default=str,
            )
        )
    else:
        click.echo(f"Source: {book.origin['source']}. As of {book.as_of_on.date()}. Hash {book.content_hash[:12]}.\n")
        for name, table in TABLES.items():
            rows = book.quality["rows"].get(name)
            state = (
                f"{rows['used']:>9,} rows used, {rows['quarantined']:,} set aside" if rows else "        – not there"
            )
            click.echo(f"  {name:14} {state:42} unlocks {table.unlocks}")
        say_quarantine(book)
        say_notes(book)
        click.echo("\nMetrics")
        for name, m in found.items():
            click.echo(f"  {name:18} " + ("available" if m.available else f"unavailable, because {m.because}"))
    check_tolerance(book)


def say_quarantine(book: Book, most: int = 15) -> None:
    out = book.quarantine
    if out.empty:
        click.echo("\nNo row was set aside.")
        return
    click.echo(f"\n{len(out):,} rows set aside")
    for row in out.head(most).itertuples():
        value = f"{row.column} = {row.value!r}: " if isinstance(row.column, str) and row.column else ""
        click.echo(f"  {row.file}, line {row.line}: {row.reason}: {value}{row.hint}")
    if len(out) > most:
        click.echo(f"  … and {len(out) - most:,} more; `salescoach load` writes them all to quarantine.csv.")


def say_notes(book: Book) -> None:
    for note in book.quality["notes"]:
        shown = f" ({', '.join(note['examples'][:3])})" if note.get("examples") else ""
        click.echo(f"  note: {note['check']}: {note['count']:,} rows of {note['table']}.{note['column']}{shown}")
    for name in book.quality["files_ignored"]:
        click.echo(f"  note: {name} fits no table and was not read")


@cli.command(cls=Command)
@load_options
@click.option("--book", "folder", required=True, metavar="DIR", help="Where the book goes.")
@json_option
def load(
    files: tuple[Path, ...],
    source: str | None,
    process: str | None,
    as_of: str | None,
    currency: str | None,
    folder: str,
    as_json: bool,
) -> None:
    """Build a book from CSV, Excel or Parquet files."""
    from salescoach.book import save_book
    from salescoach.sources import check_tolerance, load_book

    book = load_book(files, source=source, process=process, as_of=as_of, currency=currency)
    save_book(book, folder)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "book": folder,
                    "content_hash": book.content_hash,
                    "as_of": book.as_of_on.date().isoformat(),
                    "quality": dict(book.quality),
                },
                ensure_ascii=False,
                default=str,
            )
        )
    else:
        click.echo(summary(book))
        say_quarantine(book)
        say_notes(book)
        click.echo(f"Book: {folder}. Next: salescoach metrics --book {folder}")
    check_tolerance(book)


# --- metrics ---------------------------------------------------------------------------------------


@cli.command(cls=Command)
@click.argument("names", nargs=-1, metavar="NAME…")
@book_option
@click.option(
    "--by",
    default=None,
    metavar="COL,…",
    help="rep, team, manager, quarter, month, lead_source, product, segment, any column.",
)
@period_option
@click.option("--rep", default=None, metavar="R", help="Only this rep (id or name).")
@click.option("--team", default=None, metavar="T", help="Only this team.")
@click.option("--as-of", default=None, metavar="DATE", help="As it would have been on a past day.")
@click.option("--rows", is_flag=True, help="List the records that are counted.")
@json_option
@click.option("--csv", "csv_file", default=None, metavar="F", help="Write the table of one metric to a CSV file.")
@click.option(
    "--xlsx", "xlsx_file", default=None, metavar="F", help="Write the tables to an Excel workbook, a sheet each."
)
def metrics(
    names: tuple[str, ...],
    book: str,
    by: str | None,
    period: str | None,
    rep: str | None,
    team: str | None,
    as_of: str | None,
    rows: bool,
    as_json: bool,
    csv_file: str | None,
    xlsx_file: str | None,
) -> None:
    """Print metrics with their n and interval; without a NAME, list them with definition and availability."""
    from salescoach.metrics import METRICS, counted_rows, find_metric, measure

    scope = scoped(open_any(book), rep, team, as_of)
    for name in names:
        find_metric(name)
    if rows:
        if len(names) != 1:
            raise UsageError("--rows lists the records of one metric: give one NAME.")
        emit_table(counted_rows(scope, names[0], period), as_json, csv_file)
        return
    found = {n: measure(scope, n, by=by if by is not None or names else (), period=period) for n in names or METRICS}
    if as_json:
        from salescoach.metrics import currency_of

        click.echo(
            json.dumps(
                {
                    "as_of": scope.as_of_on.date().isoformat(),
                    "currency": currency_of(scope),
                    "metrics": {n: m.to_dict() for n, m in found.items()},
                },
                ensure_ascii=False,
            )
        )
    elif csv_file or xlsx_file:
        write_tables({n: m.table for n, m in found.items() if m.table is not None}, csv_file, xlsx_file)
    else:
        for name, m in found.items():
            click.echo(f"{name}: {m.metric.definition}\n  by {m.metric.basis}; {m.metric.interval}")
            if not names:
                click.echo("  available" if m.available else f"  unavailable, because {m.because}")
            elif m.table is None:
                click.echo(f"  unavailable, because {m.because}")
            else:
                emit_table(m.table, False, None)


def scoped(book: Book, rep: str | None, team: str | None, as_of: str | None) -> Book:
    """The book at a past day, of one rep or one team."""
    if rep and team:
        raise UsageError("Give --rep or --team, not both.")
    if as_of:
        book = book.at(as_of)
    return book.for_rep(rep) if rep else book.for_team(team) if team else book


def emit_table(table: pd.DataFrame, as_json: bool, csv_file: str | None) -> None:
    if as_json:
        click.echo(table.to_json(orient="records", force_ascii=False, date_format="iso"))
    elif csv_file:
        write_tables({"rows": table}, csv_file, None)
    else:
        click.echo(
            table.to_string(
                index=False, na_rep="–", float_format=lambda v: f"{v:,.4g}" if abs(v) < 1000 else f"{v:,.0f}"
            )
        )


def write_tables(tables: dict[str, pd.DataFrame], csv_file: str | None, xlsx_file: str | None) -> None:
    """Tables as files; text that a spreadsheet would take for a formula is written as text."""
    from salescoach.cli.export import write_csv, write_xlsx

    if not tables:
        raise UsageError(
            "None of these metrics is available, so there is nothing to write. Leave out --csv and --xlsx to read why."
        )
    if csv_file:
        if len(tables) != 1:
            raise UsageError("A CSV file holds one table: give one NAME, or use --xlsx.")
        write_csv(next(iter(tables.values())), Path(csv_file))
        click.echo(f"Wrote {csv_file}")
    if xlsx_file:
        write_xlsx(tables, Path(xlsx_file))
        click.echo(f"Wrote {xlsx_file}")


# --- reports ---------------------------------------------------------------------------------------


@cli.command(cls=Command)
@click.argument("notebook")
@book_option
@click.option("--rep", default=None, metavar="R", help="For this rep (id or name).")
@click.option("--team", default=None, metavar="T", help="For this team.")
@period_option
@language_option
@click.option("--out", default=".", metavar="DIR", show_default=True, help="Folder of the page.")
def report(
    notebook: str, book: str, rep: str | None, team: str | None, period: str | None, language: str, out: str
) -> None:
    """Make one report."""
    from salescoach.batch import run_report

    path, outcome = run_report(open_any(book), notebook, out, rep, team, period, language)
    if outcome.status != "done":
        raise ReportFailed(f"{notebook} failed: {outcome.error}")
    click.echo(f"Open {path}")


class ReportFailed(SalescoachError):
    """The one report that was asked for could not be made."""

    exit_code = 3


def _order(notebook: str | None, per: str | None) -> Order:
    from salescoach.batch import Order

    return Order.model_validate({"notebook": notebook, "per": per})


@cli.command(cls=Command)
@book_option
@click.option("--plan", default=None, metavar="P", help="Plan file (.toml), or the name of one of ours: weekly.")
@click.option("--notebook", default=None, metavar="N", help="One notebook instead of a plan.")
@click.option(
    "--per",
    type=click.Choice(["rep", "team", "company"]),
    default=None,
    help="With --notebook: for each rep, each team, or the company.",
)
@click.option("--out", required=True, metavar="DIR", help="Folder of the reports; the newest run is DIR/current.")
@period_option
@click.option(
    "--language", type=click.Choice(["en", "zh"]), default=None, help="Language of the pages; default: the plan's."
)
@click.option("--workers", type=click.IntRange(1), default=None, help="Reports at a time (default: one per core).")
def batch(
    book: str,
    plan: str | None,
    notebook: str | None,
    per: str | None,
    out: str,
    period: str | None,
    language: str | None,
    workers: int | None,
) -> None:
    """Make many reports: a plan, or one notebook per rep or team."""
    from salescoach.batch import PlanFile, read_plan, run_batch

    if (plan is None) == (notebook is None) or (notebook is None) != (per is None):
        raise UsageError("Give --plan P, or --notebook N with --per rep, team or company.")
    wanted = read_plan(plan) if plan is not None else PlanFile(reports=(_order(notebook, per),))
    changes = {k: v for k, v in (("language", language), ("period", period)) if v is not None}
    finish(run_with_progress(run_batch, open_any(book), wanted.model_copy(update=changes), out, workers))
