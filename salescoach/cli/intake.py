"""Data in: `check`, `load` and `snapshot`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from salescoach.cli.command import Command, fit_to_publish, print_json, put, summary, tell
from salescoach.cli.options import LoadSettings, json_option, load_options, reps_option
from salescoach.errors import ColumnError, QuarantineError, SalescoachError, Sentence, SourceError, StageError, commas
from salescoach.wording import N_

if TYPE_CHECKING:
    from salescoach.book import Book
    from salescoach.cli.findings import Findings, Settings
    from salescoach.sources import Source

LATELY = "last 365 days"  # for metrics that are about a period


@click.command(cls=Command)
@load_options
@reps_option
@json_option
def check(files: tuple[str, ...], reps: tuple[str, ...], as_json: bool, **settings: Unpack[LoadSettings]) -> None:
    """Say what the files hold, what is set aside and why, and what is missing for more. Writes nothing."""
    from salescoach.cli.findings import screen
    from salescoach.sources import check_tolerance

    given = as_given(files, settings, reps)
    findings = look_into(given, read_book(given, settings))
    if as_json:
        print_json(findings.to_dict())
    else:
        echo(screen(findings))
    listed = Sentence("`salescoach load` into a new folder lists each in quarantine.csv, with its line and reason.")
    check_tolerance(findings.book, listed)


@click.command(cls=Command)
@load_options
@reps_option
@click.option("--book", "folder", required=True, metavar="DIR", help="Where the book goes.")
@click.option(
    "--cache",
    metavar="DIR",
    default=None,
    help="Keep what was read of a database there; the next load asks only for deals that changed since.",
)
@json_option
def load(
    files: tuple[str, ...],
    reps: tuple[str, ...],
    folder: str,
    cache: str | None,
    as_json: bool,
    **settings: Unpack[LoadSettings],
) -> None:
    """Build a book from CSV, Excel or Parquet files, or from a database. Says what changed since the book before."""
    from salescoach.book import save_book
    from salescoach.cli.findings import note_lines, quarantine_lines
    from salescoach.sources import check_tolerance, since

    given = as_given(files, settings, reps)
    book = fit_to_publish(read_book(given, settings, cache))
    before = earlier_book(folder)
    unchanged = before is not None and says_the_same(before, book)
    if before is not None and not unchanged:
        keep_good_book(folder, before, book)
        book = since(before, book)
    if not as_json:
        put(summary(book))
        echo(quarantine_lines(book))
        echo(note_lines(book))
        if before is not None:
            tell(what_changed(before, book) if not unchanged else nothing_changed(before, folder))
    if not unchanged:
        save_book(book, folder)
    if as_json:
        print_json(
            {
                "book": folder,
                "content_hash": book.content_hash,
                "as_of": book.as_of_on.date().isoformat(),
                "unchanged": unchanged,
                "quality": dict(book.quality),
            }
        )
    else:
        tell("Book: {folder}. Next: salescoach metrics --book {folder}", folder=folder)
    listed = Path(folder) / "quarantine.csv"
    check_tolerance(
        book,
        Sentence("The book was written all the same, and {file} lists each with its line and reason.", file=listed),
    )


@click.command(cls=Command)
@load_options
@click.option("--store", required=True, metavar="DIR", help="Folder of the snapshots, one Parquet file a day.")
@json_option
def snapshot(files: tuple[str, ...], store: str, as_json: bool, **settings: Unpack[LoadSettings]) -> None:
    """Keep the deals as they stand today, to build a stage history where the CRM keeps none."""
    from salescoach.sources import append_snapshot, check_tolerance

    given = as_given(files, settings)
    with way_out(given):
        settings["as_of"] = settings["as_of"] or today(given)
    book = read_book(given, settings)
    check_tolerance(book, Sentence("Nothing was written. `salescoach check` says why."))
    there = {f.name for f in Path(store).glob("deals-*.parquet")}
    file = append_snapshot(fit_to_publish(book), store)
    days = sorted(f.stem.removeprefix("deals-") for f in Path(store).glob("deals-*.parquet"))
    follow = next_of_store(given, book, store)
    if as_json:
        print_json(
            {"file": str(file), "deals": len(book.deals), "days": days, "new": file.name not in there, "next": follow}
        )
        return
    tell(
        N_("Wrote {file}: {n:,} deals of {day}.")
        if file.name not in there
        else N_("Already there, with the same deals: {file}: {n:,} deals of {day}."),
        file=file,
        n=len(book.deals),
        day=book.as_of_on.date(),
    )
    tell(
        N_("{store} holds {n:,} day, {first}. Next: {command}")
        if len(days) == 1
        else N_("{store} holds {n:,} days, {first} to {last}. Next: {command}"),
        store=store,
        n=len(days),
        first=days[0],
        last=days[-1],
        command=follow,
    )


# --- reading ---------------------------------------------------------------------------------------


def as_given(files: tuple[str, ...], settings: LoadSettings, reps: tuple[str, ...] = ()) -> Settings:
    from salescoach.cli.findings import Settings

    return Settings(files, dict(settings), reps)


def read_book(given: Settings, settings: LoadSettings, cache: str | None = None) -> Book:
    """The book of the files; where they are refused for want of a mapping, the message names the way out."""
    from salescoach.sources import load_book

    with way_out(given):
        return load_book(given.files, reps=given.reps, cache=cache, **settings)


@contextmanager
def way_out(given: Settings) -> Iterator[None]:
    """What to type next is added where a draft of a source and a process file would help: nobody mapped these yet."""
    try:
        yield
    except (ColumnError, StageError, SourceError) as error:
        if not given.files or given.is_mapped:
            raise
        text = Sentence(
            "{error}\nNext, for a source and a process file to edit: {command}",
            error=error,
            command=given.draft_command(),
        )
        raise type(error)(text) from error


def look_into(given: Settings, book: Book) -> Findings:
    """The book with its source and what every metric says of it."""
    from salescoach.cli.findings import Findings
    from salescoach.metrics import METRICS, measure

    return Findings(
        book,
        source_of(given, book),
        {n: measure(book, n, by=(), period=LATELY if m.spans else None) for n, m in METRICS.items()},
        given,
    )


def source_of(given: Settings, book: Book) -> Source:
    """The source a book was read with, and our own tables where files of them lay beside it."""
    from salescoach.sources import find_source, presets

    named = given.options.get("source") or given.own_source
    source = find_source(named)[0] if named else presets()[book.origin["source"]]
    ours = presets()["generic"].tables
    more = {n: ours[n] for n in book.origin["columns"] if n not in source.tables}
    return source.model_copy(update={"tables": {**source.tables, **more}})


def today(given: Settings) -> str:
    """The day it is now in the time zone of the process."""
    import pandas as pd

    from salescoach.sources.load import find_files, process_of

    source = find_files(given.files, given.options.get("source")).source
    zone = process_of(source, given.options.get("process")).calendar.timezone
    return pd.Timestamp.now(tz=zone).strftime("%Y-%m-%d")


def next_of_store(given: Settings, book: Book, store: str) -> str:
    """How to build a book of all snapshots: with the process and the currency of this one."""
    from salescoach.cli.findings import Settings

    process = given.options.get("process") or source_of(given, book).process
    return Settings((store,), {"process": process, "currency": book.currency}).command("load", "--book", "my-book")


# --- the book before -------------------------------------------------------------------------------


def earlier_book(folder: str) -> Book | None:
    """The book that stands there; None where there is none that can be read."""
    from salescoach.book import open_book

    try:
        return open_book(folder)
    except SalescoachError:
        return None


def says_the_same(before: Book, fresh: Book) -> bool:
    """Whether content and rows set aside are equal."""
    told = [sorted(zip(b.quarantine["reason"], b.quarantine["raw"], strict=True)) for b in (before, fresh)]
    return before.content_hash == fresh.content_hash and told[0] == told[1]


def what_changed(before: Book, fresh: Book) -> str:
    n = fresh.quality["since"]
    gone: list[str] = next((m["examples"] for m in fresh.quality["notes"] if m["check"] == "vanished-since"), [])
    more = " …" if n["vanished"] > len(gone) else ""
    names = Sentence(" ({names}{more})", names=commas(gone), more=more) if gone else ""
    return Sentence(
        "Since the book of {day}: {new:,} new deals, {changed:,} changed, {vanished:,} vanished{names}.",
        day=n["as_of"],
        new=n["new"],
        changed=n["changed"],
        vanished=n["vanished"],
        names=names,
    )


def nothing_changed(before: Book, folder: str) -> str:
    day = before.as_of_on.date()
    return Sentence("Nothing changed since the book of {day}: {folder} is left as it is.", day=day, folder=folder)


def keep_good_book(folder: str, before: Book, fresh: Book) -> None:
    """Raise QuarantineError where a book over its tolerance would replace one that is not."""
    from salescoach.sources import check_tolerance

    try:
        check_tolerance(
            fresh,
            Sentence(
                "Nothing was written: {folder} holds an earlier book within the limit, and it stays. Load into a new "
                "folder to read each row's line and reason in quarantine.csv.",
                folder=folder,
            ),
        )
    except QuarantineError as over:
        try:
            check_tolerance(before)
        except QuarantineError:
            return  # what stands there is no better
        raise over


def echo(lines: Iterator[str]) -> None:
    """Lines of a screen."""
    for line in lines:
        put(line)
