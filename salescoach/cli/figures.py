"""`salescoach metrics`: figures, the records behind them, what they mean, and what they were when reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from salescoach.cli.command import Command, open_any, print_json, put, scoped, tell
from salescoach.cli.options import (
    a_day,
    as_of_option,
    file_option,
    json_option,
    own_option,
    period_option,
    said_option,
)
from salescoach.errors import UsageError, commas
from salescoach.wording import N_

if TYPE_CHECKING:
    import pandas as pd

    from salescoach.book import Book
    from salescoach.wording import Words

Options = dict[str, dict[str, Any]]


@click.command(cls=Command)
@click.argument("names", nargs=-1, metavar="NAME…")
@click.option(
    "--book", metavar="DIR", help='Folder of a book, or "demo" for the bundled demo data. --explain needs none.'
)
@click.option(
    "--by",
    default=None,
    metavar="COL,…",
    help="rep, team, manager, quarter, month, lead_source, product, segment, any column; '' for the total alone. "
    "Default: the metric's own groups, most often rep. What reads (all), above them, is the total.",
)
@period_option
@click.option("--rep", default=None, metavar="R", help="Only this rep (id or name).")
@click.option("--team", default=None, metavar="T", help="Only this team.")
@as_of_option(N_("As it would have been on a past day, such as 2026-06-30."))
@click.option(
    "--in", "currency", default=None, metavar="CUR", help="Amounts in this currency, at the rates of the book."
)
@click.option(
    "--option", "written", multiple=True, metavar="NAME=VALUE", help="Another variant, such as rule=strict; repeat it."
)
@click.option(
    "--explain", is_flag=True, help="Why it is asked, its definition, data, options, and what to keep in mind."
)
@click.option("--rows", is_flag=True, help="List the records that are counted.")
@click.option(
    "--reported",
    metavar="DATE",
    default=None,
    help="As it stood on that day, or in the book saved in that folder, beside what it is now, where the two differ.",
)
@own_option
@said_option
@json_option
@file_option("csv", N_("Write the table to a CSV file, or the tables to a folder, a file each."))
@file_option("xlsx", N_("Write the tables to an Excel workbook, a sheet each."))
def metrics(
    names: tuple[str, ...],
    book: str | None,
    by: str | None,
    period: str | None,
    rep: str | None,
    team: str | None,
    as_of: str | None,
    currency: str | None,
    written: tuple[str, ...],
    explain: bool,
    rows: bool,
    reported: str | None,
    own: Path | None,
    language: str,
    as_json: bool,
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    """Print metrics with their n and interval; without a NAME, list them with definition and availability."""
    from salescoach.metrics import METRICS, find_metric
    from salescoach.wording import words

    to_file = csv_file is not None or xlsx_file is not None
    if as_json and to_file:
        raise UsageError("--json prints, --csv and --xlsx write: give one or the other.")
    if sum((explain, rows, reported is not None)) > 1:
        raise UsageError("--explain, --rows and --reported each say something else: give one of them.")
    for name in names:
        find_metric(name)
    options = read_options(names, written)
    say = words("en" if as_json else language)
    if book is None:
        if not explain or rep or team or as_of or currency:
            raise click.MissingParameter(param_hint="'--book'", param_type="option")
        explain_metrics(None, names or tuple(METRICS), options, say, as_json)
        return
    scope = scoped(open_any(book), rep, team, as_of, currency)
    if explain:
        explain_metrics(scope, names or tuple(METRICS), options, say, as_json)
    elif rows:
        list_records(scope, names, period, options, as_json, csv_file, xlsx_file)
    elif reported is not None:
        print_reported(
            scope, names, by, period, past_book(reported, rep, team, currency), options, as_json, csv_file, xlsx_file
        )
    else:
        print_figures(scope, names, by, period, options, say, as_json, csv_file, xlsx_file)


def read_options(names: Sequence[str], written: Sequence[str]) -> Options:
    """--option NAME=VALUE for each of the metrics, typed. Raises UsageError for what one of them does not have."""
    from salescoach.metrics import find_metric
    from salescoach.metrics.options import check_names

    if written and not names:
        raise UsageError("--option is of a metric: give its NAME.")
    pairs = dict(_pair(text) for text in written)
    read: Options = {}
    for name in names:
        known = find_metric(name).options
        check_names(name, known, pairs)
        read[name] = {option: known[option].read(text) for option, text in pairs.items()}
    return read


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise UsageError("--option {text!r}: write NAME=VALUE, such as rule=strict.", text=text)
    return name.strip(), value


def past_book(written: str, rep: str | None, team: str | None, currency: str | None) -> str | Book:
    """A day as it is written, or the saved book of a folder."""
    if Path(written).is_dir():
        return scoped(open_any(written), rep, team, None, currency)
    day: str = a_day(click.get_current_context(), click.Option(["--reported"]), written) or ""
    return day


# --- what a metric is ------------------------------------------------------------------------------


def explain_metrics(scope: Book | None, names: Sequence[str], options: Options, say: Words, as_json: bool) -> None:
    from salescoach.cli.explain import explanation, lines
    from salescoach.metrics import find_metric, measure

    told = {}
    for name in names:
        chosen = options.get(name, {})
        found = None if scope is None else measure(scope, name, by=(), **chosen)
        told[name] = explanation(find_metric(name), chosen, found, say)
    if as_json:
        print_json(told)
        return
    tell("\n\n".join("\n".join(lines(find_metric(n), content, say)) for n, content in told.items()))


# --- figures ---------------------------------------------------------------------------------------


def print_figures(
    scope: Book,
    names: Sequence[str],
    by: str | None,
    period: str | None,
    options: Options,
    say: Words,
    as_json: bool,
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    from salescoach.cli.explain import availability
    from salescoach.cli.tables import under_total
    from salescoach.metrics import METRICS, currency_of, measure

    to_file = csv_file is not None or xlsx_file is not None
    groups = by if by is not None or names or to_file else ()
    found = {n: measure(scope, n, by=groups, period=period, **options.get(n, {})) for n in names or METRICS}
    if as_json:
        print_json(
            {
                "as_of": scope.as_of_on.date().isoformat(),
                "currency": currency_of(scope),
                "metrics": {n: m.to_dict() for n, m in found.items()},
            }
        )
    elif to_file:
        write_tables({n: m.table for n, m in found.items() if m.table is not None}, csv_file, xlsx_file)
        for name, m in found.items():
            if not m.available:
                tell("Left out {name}: {availability}", name=name, availability=availability(m, say), err=True)
    else:
        for name, m in found.items():
            basis, interval = say(m.basis), say(m.metric.interval)
            definition = say(m.metric.definition)
            tell("{name}: {definition}", name=name, definition=definition)
            tell("  by {basis}; {interval}", basis=basis, interval=interval)
            if m.options:
                put(f"  {say(commas(f'{option}={value}' for option, value in m.options.items()))}")
            if not names or m.table is None:
                put(f"  {availability(m, say)}")
            else:
                total = measure(scope, name, by=(), period=period, **options.get(name, {})).table
                print_table(m.table if total is None else under_total(m.table, total, m.by), name)


def list_records(
    scope: Book,
    names: Sequence[str],
    period: str | None,
    options: Options,
    as_json: bool,
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    """The records that one metric counts: printed or written."""
    from salescoach.cli.tables import for_reader
    from salescoach.metrics import counted_rows

    name = _the_one(names, N_("--rows lists the records of one metric: give one NAME."))
    records = for_reader(scope, counted_rows(scope, name, period, **options[name]))
    show({name: records}, as_json, csv_file, xlsx_file)


def print_reported(
    scope: Book,
    names: Sequence[str],
    by: str | None,
    period: str | None,
    then: str | Book,
    options: Options,
    as_json: bool,
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    """What has moved since a past day, and the records that moved it."""
    from salescoach.metrics import as_reported

    name = _the_one(names, N_("--reported compares one metric: give one NAME."))
    found = as_reported(scope, name, period, then, by, **options[name])
    if not (as_json or csv_file or xlsx_file) and found.table.empty:
        tell("{name} is what it was.", name=name)
        return
    show({name: found.table, "causes": found.causes}, as_json, csv_file, xlsx_file)


def _the_one(names: Sequence[str], otherwise: str) -> str:
    if len(names) != 1:
        raise UsageError(otherwise)
    return names[0]


# --- tables out ------------------------------------------------------------------------------------


def show(tables: dict[str, pd.DataFrame], as_json: bool, csv_file: Path | None, xlsx_file: Path | None) -> None:
    """Tables as JSON (one alone as a list), as files, or printed."""
    from salescoach.cli.tables import records_of, written_out

    if as_json:
        listed = {name: records_of(table) for name, table in tables.items()}
        print_json(listed if len(listed) > 1 else next(iter(listed.values())))
    elif csv_file or xlsx_file:
        write_tables(tables, csv_file, xlsx_file)
    else:
        for number, (name, table) in enumerate(tables.items()):
            if number:
                tell()
            print_table(written_out(table), name)


def print_table(table: pd.DataFrame, metric: str = "") -> None:
    """Print a table, of a metric under the names its columns have on pages."""
    import pandas as pd

    from salescoach.cli.columns import as_printed

    with pd.option_context("display.unicode.east_asian_width", True):
        put(as_printed(table, metric).to_string(index=False, na_rep="–", float_format=_number))


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def write_tables(tables: dict[str, pd.DataFrame], csv_file: Path | None, xlsx_file: Path | None) -> None:
    """Tables as files; text that a spreadsheet would take for a formula is written as text."""
    from salescoach.cli.export import write_csv, write_xlsx

    if not tables:
        raise UsageError(
            "None of these metrics is available, so there is nothing to write. Leave out --csv and --xlsx to read why."
        )
    for place, write in ((csv_file, write_csv), (xlsx_file, write_xlsx)):
        if place is not None:
            for file in write(tables, place):
                tell("Wrote {file}", file=file)
