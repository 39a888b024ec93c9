"""`salescoach trust` and `reconcile`: how far a figure can be trusted, and why the CRM's own is another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from salescoach.cli.command import Command, open_any, put, scoped
from salescoach.cli.options import (
    as_of_option,
    book_option,
    file_option,
    json_option,
    own_option,
    period_option,
    said_option,
)
from salescoach.errors import FileRejected, Sentence, UsageError, commas, suggestion
from salescoach.wording import N_

if TYPE_CHECKING:
    import pandas as pd

    from salescoach.book import Book
    from salescoach.wording import Words

THEIR_COLUMNS = {
    "deal_id": ("deal id", "deal", "id", "opportunity id", "record id", "商机编号", "商机id"),
    "outcome": ("result", "status", "won/lost", "结果", "状态"),
    "amount": ("value", "deal value", "金额", "商机金额"),
    "closed_on": ("closed at", "close date", "closed", "成交日期", "结单日期"),
    "rep_id": ("rep", "owner", "负责人"),
}
WORDS = {"won": ("won", "win", "赢", "成交"), "lost": ("lost", "loss", "输", "丢"), "void": ("void", "无效", "作废")}
rep_option = click.option("--rep", default=None, metavar="R", help="Only this rep (id or name).")
team_option = click.option("--team", default=None, metavar="T", help="Only this team.")


@click.command(cls=Command)
@book_option
@period_option
@rep_option
@team_option
@as_of_option(N_("As it would have been on a past day, such as 2026-06-30."))
@said_option
@json_option
@file_option("csv", N_("Write the tables to a folder, a file each."))
@file_option("xlsx", N_("Write the tables to an Excel workbook, a sheet each."))
def trust(
    book: str,
    period: str | None,
    rep: str | None,
    team: str | None,
    as_of: str | None,
    language: str,
    as_json: bool,
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    """How far defects of the data could move the figures, the ten edits that help most, and what was edited late."""
    from salescoach.cli.figures import show
    from salescoach.metrics import leakage_audit, ten_edits, trust_bounds
    from salescoach.wording import words

    if as_json:
        language = "en"
    say = words(language)
    scope = scoped(open_any(book), rep, team, as_of)
    bounds, edits = trust_bounds(scope, period, language), ten_edits(scope, period, language=language)
    leaks = leakage_audit(scope)
    leaks = leaks.assign(verdict=leaks["verdict"].map(say), why=leaks["why"].map(say))
    if as_json or csv_file or xlsx_file:
        show({"bounds": bounds, "edits": edits, "leakage": leaks}, as_json, csv_file, xlsx_file)
        return
    put(say("How far defects of the data could move the figures:"))
    for sentence in bounds.drop_duplicates(["defect", "metric"])["sentence"]:  # of reps the one with the widest range
        put(f"  {sentence}")
    if bounds.empty:
        put(f"  {say('none that is known')}")
    _titled(say("The edits that narrow these ranges most:"), edits)
    _titled(say("What was edited after the close, and what a model may use:"), leaks)


def _titled(title: str, table: pd.DataFrame) -> None:
    from salescoach.cli.figures import print_table
    from salescoach.cli.tables import written_out

    if len(table):
        put(f"\n{title}")
        print_table(written_out(table))


@click.command(cls=Command)
@click.argument("name", metavar="NAME")
@book_option
@click.option("--figure", "written", default=None, metavar="X", help="What the CRM says: 0.42 or 42%.")
@click.option(
    "--report",
    "theirs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    metavar="F",
    help="The CRM's report: a CSV with a row per deal: its id and, where there are, outcome, amount, close, owner.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=THEIRS",
    help="A header, such as deal_id='Record ID'; repeat it.",
)
@period_option
@rep_option
@team_option
@as_of_option(N_("As it would have been on a past day, such as 2026-06-30."))
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="With --report: a variant of the metric."
)
@own_option
@said_option
@json_option
@file_option("csv", N_("Write the table to a CSV file, or the tables to a folder, a file each."))
@file_option("xlsx", N_("Write the tables to an Excel workbook, a sheet each."))
def reconcile(
    name: str,
    book: str,
    written: str | None,
    theirs: Path | None,
    columns: tuple[str, ...],
    period: str | None,
    rep: str | None,
    team: str | None,
    as_of: str | None,
    options: tuple[str, ...],
    own: Path | None,
    language: str,
    as_json: bool,
    csv_file: Path | None,
    xlsx_file: Path | None,
) -> None:
    """Why the CRM's own figure is another: the definitions that give it, or the deals that differ."""
    from salescoach.cli.figures import read_options, show
    from salescoach.wording import words

    if written is None and theirs is None:
        raise UsageError("Give --figure X, --report FILE, or both.")
    chosen = read_options([name], options)[name]
    say, whole = words("en" if as_json else language), scoped(open_any(book), None, None, as_of)
    scope = scoped(whole, rep, team, None)
    tables: dict[str, pd.DataFrame] = {}
    if written is not None:
        tables["definitions"] = _definitions(whole, scope, name, written, period, say)
    if theirs is not None:
        from salescoach.metrics import differing_deals

        report = read_report(theirs, columns)
        found = differing_deals(whole, name, report, period, scope, **chosen)
        tables["deals"] = found.assign(where=found["where"].map(say), why=found["why"].map(say))
    if not (as_json or csv_file or xlsx_file):
        _conclude(tables, say)
    show(tables, as_json, csv_file, xlsx_file)


def _definitions(whole: Book, scope: Book, name: str, written: str, period: str | None, say: Words) -> pd.DataFrame:
    from salescoach.metrics import reconciling_definitions
    from salescoach.metrics.reconcile import TOGETHER

    figure, digits = read_figure(written)
    found = reconciling_definitions(whole, name, figure, period, digits, scope)
    said = [TOGETHER.join(say(part) for part in text.split(TOGETHER)) for text in found["definition"]]
    return found.assign(definition=said)


def _conclude(tables: dict[str, pd.DataFrame], say: Words) -> None:
    """One sentence above each table."""
    if "definitions" in tables:
        exact = tables["definitions"]["matches"].sum()
        put(
            say("{n} definitions give this figure; the first is the plainest.", n=int(exact))
            if exact
            else say(
                "No definition we know gives this figure; the nearest stand first. Compare the deals with `--report`."
            )
        )
    if "deals" in tables:
        counts = tables["deals"].groupby(["where", "why"], sort=True).size().reset_index(name="n")
        put(say("{n} differences in deals.", n=int(counts["n"].sum())))
        for row in counts.to_dict("records"):
            put(f"  {row['n']}  {row['where']}: {row['why']}")


def read_figure(text: str) -> tuple[float, int]:
    """The figure and the decimals it was written with: 0.42 and 42% are (0.42, 2), 1,250,000 is (1250000.0, 0)."""
    plain = text.strip().replace(",", "").replace("，", "").replace("％", "%").lstrip("¥￥$€£")
    per_cent = plain.endswith("%")
    digits = plain.removesuffix("%").strip()
    try:
        value = float(digits)
    except ValueError as error:
        raise UsageError("--figure {text!r} is no number. Write it as 0.42, 42% or 1250000.", text=text) from error
    decimals = len(digits.partition(".")[2])
    return (value / 100, decimals + 2) if per_cent else (value, decimals)


def read_report(file: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """The CRM's list of deals under our names. Raises UsageError naming the missing header or the wrong value."""
    import pandas as pd

    table = _read_csv(file)
    headers = _headers(table, file, columns)
    made = pd.DataFrame({ours: table[theirs].str.strip() for ours, theirs in headers.items()})
    made = made.replace("", None).astype("str")
    made = made[made["deal_id"].notna()]
    if "amount" in made:
        made["amount"] = _numbers(made["amount"], headers["amount"])
    if "closed_on" in made:
        made["closed_on"] = _days(made["closed_on"], headers["closed_on"])
    if "outcome" in made:
        made["outcome"] = made["outcome"].map(_outcome).astype("str")
    return made.reset_index(drop=True)


def _read_csv(file: Path) -> pd.DataFrame:
    import pandas as pd

    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return pd.read_csv(file, dtype="str", keep_default_na=False, encoding=encoding)
        except UnicodeDecodeError:
            continue
        except pd.errors.ParserError as error:
            raise FileRejected("{file} is no table: {error}.", file=file.name, error=error) from error
    raise FileRejected("{file} is neither UTF-8 nor GB18030 text. Export it as CSV in UTF-8.", file=file.name)


def _headers(table: pd.DataFrame, file: Path, columns: tuple[str, ...]) -> dict[str, str]:
    """Our name -> the header of the report: as given, else one that says so itself."""
    there = {_folded(c): c for c in table.columns}
    found: dict[str, str] = {}
    for ours, known in THEIR_COLUMNS.items():
        for name in (_folded(ours), *known):
            if name in there:
                found[ours] = there[name]
                break
    for text in columns:
        ours, sign, theirs = text.partition("=")
        if not sign or ours not in THEIR_COLUMNS:
            raise UsageError(
                "--column {text!r}: write OURS=THEIRS; ours: {their_columns}.",
                text=text,
                their_columns=commas(THEIR_COLUMNS),
            )
        if theirs not in table:
            raise UsageError(
                "{file} has no column {theirs!r}.{hint} Columns: {columns}.",
                file=file.name,
                theirs=theirs,
                hint=suggestion(theirs, table.columns),
                columns=commas(table.columns),
            )
        found[ours] = theirs
    if "deal_id" not in found:
        raise UsageError(
            "{file}: which column has the deals' ids? Give --column deal_id=HEADER. Columns: {columns}.",
            file=file.name,
            columns=commas(table.columns),
        )
    return found


def _folded(header: str) -> str:
    return " ".join(header.casefold().replace("_", " ").split())


def _numbers(texts: pd.Series, header: str) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(texts.str.replace(r"[,，¥￥$€£\s]", "", regex=True), errors="coerce")
    _all_read(texts, numbers, header, Sentence("an amount such as 1250.50"))
    return numbers


def _days(texts: pd.Series, header: str) -> pd.Series:
    import pandas as pd

    days = pd.to_datetime(texts.str.slice(0, 10).str.replace("/", "-"), format="%Y-%m-%d", errors="coerce")
    _all_read(texts, days, header, Sentence("a day such as 2026-09-30"))
    return days.astype("datetime64[us]")


def _all_read(texts: pd.Series, read: pd.Series, header: str, what: str) -> None:
    wrong = texts[texts.notna() & read.isna()]
    if len(wrong):
        raise UsageError(
            "Column {header!r}: {wrong!r} is not {what}. Correct it, or leave the column out.",
            header=header,
            wrong=wrong.iloc[0],
            what=what,
        )


def _outcome(text: object) -> str | None:
    """won, lost or void by the word in it; else open."""
    if not isinstance(text, str):
        return None
    said = text.casefold()
    return next((outcome for outcome, words in WORDS.items() if any(w in said for w in words)), "open")
