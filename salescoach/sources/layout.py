"""A source file: which column of whose export is which column of ours."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
import zoneinfo
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from salescoach.book import TABLES
from salescoach.errors import Sentence, SourceError, UsageError, commas, joined, nearest, suggestion
from salescoach.kit import kit_path
from salescoach.plugins import SOURCES, load_plugin, plugins, unusable
from salescoach.process.faults import fault_of

Texts = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _known_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones():
        raise ValueError(Sentence("this is no time zone: write it as UTC or Asia/Shanghai"))
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


class ColumnFormat(_Strict):
    """How one column is written; what is not said here comes from the table's format.

    timezone   of stamps that name none; the book's if not given. A column without times of day holds calendar days,
               which no zone shifts.
    """

    date: Texts | None = None
    decimal: Literal[".", ","] | None = None
    unit: int | None = Field(default=None, gt=0)
    timezone: TimeZone | None = None
    percent: bool | None = None
    myriads: bool | None = None
    array: bool | None = None
    null: Texts | None = None


class TableFormat(_Strict):
    """How a table's file is written. Any other key is one of our columns with a format of its own."""

    date: Texts | None = None
    decimal: Literal[".", ","] | None = None
    unit: int = Field(default=1, gt=0)
    timezone: TimeZone | None = None
    myriads: bool = False
    null: Texts = ()
    skip: int = Field(default=0, ge=0)
    skip_footer: int = Field(default=0, ge=0)
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    columns: dict[str, ColumnFormat] = {}

    def for_column(self, column: str) -> ColumnFormat:
        own = self.columns.get(column, ColumnFormat())
        return ColumnFormat(
            date=own.date or self.date,
            decimal=own.decimal or self.decimal,
            unit=own.unit or self.unit,
            timezone=own.timezone or self.timezone,
            percent=own.percent,
            myriads=own.myriads if own.myriads is not None else self.myriads,
            array=own.array,
            null=own.null if own.null is not None else self.null,
        )


class Unpivot(_Strict):
    """A wide table: one column for each month of the year that stands in `year`.

    Each filled cell becomes a row of its own: `value`, `start_on` and `end_on`.
    """

    year: str
    months: Annotated[tuple[str, ...], Field(min_length=12, max_length=12)]

    makes: ClassVar[tuple[str, ...]] = ("value", "start_on", "end_on")


class TableSource(_Strict):
    """One table: the file it comes from, its columns (ours = theirs or alternatives), how it is written.

    signature  headers that tell this table from others; an inner list holds spellings of which one must be there
    where      header -> values: only these rows are of this table; the others belong elsewhere
    values     ours -> {theirs: ours}: words of the source that mean values of ours ("" means nothing)
    fixed      ours -> value: the same in every row
    unpivot    the months of a wide table become rows
    entered    headers of a wide stage history on the deals, such as `Date entered "{stage} ({pipeline})"`
    versions   headers of a file that holds every version of a record: it is read only where no file tells what is now
    expect_rows, expect_sum  control totals that the export came with: how many records, and the sum of a column of ours
    """

    from_: str | None = Field(default=None, alias="from")
    columns: dict[str, Texts]
    format: TableFormat = TableFormat()
    signature: tuple[Texts, ...] = ()
    where: dict[str, Texts] = {}
    values: dict[str, dict[str, str]] = {}
    fixed: dict[str, str] = {}
    unpivot: Unpivot | None = None
    entered: Texts = ()
    versions: Texts = ()
    expect_rows: int | None = Field(default=None, ge=0)
    expect_sum: dict[str, Decimal] = {}

    def stage_entered(self, header: str) -> tuple[str, str | None] | None:
        """The names of stage and pipeline in a header of a wide stage history, or None for any other header."""
        for pattern in self.entered:
            parts = re.split(r"(\{stage\}|\{pipeline\})", pattern)
            groups = {"{stage}": r"(?P<stage>.+?)", "{pipeline}": r"(?P<pipeline>[^()]+)"}
            found = re.fullmatch("".join(groups.get(p, re.escape(p)) for p in parts), header, re.IGNORECASE)
            if found is not None:
                return found["stage"], found.groupdict().get("pipeline")
        return None


class Preset(_Strict):
    name: str
    label: dict[str, str]
    carries: str = ""


class Connection(_Strict):
    """Where the address of a database stands: never the address itself where it holds a password.

    env      the environment variable that holds the SQLAlchemy URL
    keyring  service and user of the keyring entry that holds it
    url      a URL without a password, such as sqlite:///crm.db or duckdb:///crm.duckdb

    With it, `from` of a table is the name of a table or view, or a SELECT; without `from`, the table has our name.
    """

    env: str | None = None
    keyring: tuple[str, str] | None = None
    url: str | None = None


class Source(_Strict):
    """A source file, checked. `tables` maps our table names to where they come from.

    history    how stage history is told: `log` (entries), `pairs` (old and new stage), `wide` (a date per stage on the
               deal), `snapshots` (the deals of several days), `current` (only where each deal stands now)
    stages     the source's stage names -> stages of the process; `pipelines` likewise
    """

    origin: str
    preset: Preset | None = None
    process: str | None = None
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    as_of: dt.date | None = None
    history: Literal["log", "pairs", "wide", "snapshots", "current"] | None = None
    connection: Connection | None = None
    tolerate: dict[Literal["unknown_stage", "quarantined"], Annotated[float, Field(ge=0, le=1)]] = {}
    stages: dict[str, str] = {}
    pipelines: dict[str, str] = {}
    tables: dict[str, TableSource]


SECRET = re.compile(r"pass|pwd|token|secret|credential|api_?key|access_?key", re.IGNORECASE)
HEAD = ("preset", "process", "currency", "as_of", "history", "connection", "tolerate", "stages", "pipelines")


def read_source(path: Path) -> Source:
    """Read and check a source file. Raises SourceError naming file, key and the nearest known key."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(
            "{path} cannot be read ({problem}). Check --source.", path=path, problem=error.strerror
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            "{path} is not UTF-8 text ({error}). Save it as UTF-8.", path=path.name, error=error
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SourceError(
            "{path} is not valid TOML: {error}. Text stands in double quotes.", path=path.name, error=error
        ) from error
    head = {k: content.pop(k) for k in HEAD if k in content}
    if isinstance(head.get("process"), str) and (path.parent / head["process"]).is_file():
        head["process"] = str(path.parent / head["process"])  # a process file stands beside the source that names it
    for name, block in content.items():
        if name not in TABLES:
            raise SourceError(
                "{path}: [{name}] is neither a table nor a setting.{hint} Tables: {tables}.",
                path=path.name,
                name=name,
                hint=suggestion(name, [*TABLES, *HEAD]),
                tables=commas(TABLES),
            )
        _check_block(path.name, name, block)
    if "connection" in head:
        _check_connection(path.name, head["connection"])
    if "deals" not in content:
        raise SourceError("{path} has no [deals] block, the one table that is mandatory.", path=path.name)
    try:
        return Source(origin=path.name, tables=content, **head)
    except ValidationError as error:
        raise SourceError(joined((_explain(path.name, e) for e in error.errors()), "\n")) from error


def _check_block(file: str, name: str, block: dict[str, Any]) -> None:
    """Column names of ours that do not exist are typing errors: extras keep their own names without being listed."""
    table = TABLES[name]
    columns = block.get("columns", {}) if isinstance(block, dict) else None
    if not isinstance(columns, dict):
        raise SourceError(
            "{file}: write [{name}] and [{name}.columns] as blocks, with one line for each column.",
            file=file,
            name=name,
        )
    for ours in (c for c in columns if c not in table.readable):
        close = nearest(ours, table.readable)
        if close is not None and close not in columns:
            raise SourceError(
                "{file}: [{name}.columns] has {ours!r}, which is no column of ours. Did you mean {close!r}?",
                file=file,
                name=name,
                ours=ours,
                close=close,
            )
    made = (*block.get("fixed", ()), *(Unpivot.makes if "unpivot" in block else ()))
    for ours in table.mandatory:
        if ours not in columns and ours not in made:
            raise SourceError(
                '{file}: [{name}.columns] must say which column is `{ours}`: add `{ours} = "…"`.',
                file=file,
                name=name,
                ours=ours,
            )
    written = block.get("format")
    if isinstance(written, dict):
        own = {k: v for k, v in written.items() if k in columns or k in table.readable}
        block["format"] = {**{k: v for k, v in written.items() if k not in own}, "columns": own}


def _check_connection(file: str, connection: object) -> None:
    """One way to the address, and no secret in the file. Raises SourceError that repeats none."""
    parts: list[tuple[str, Any]] = list(connection.items()) if isinstance(connection, dict) else []
    way, value = parts[0] if len(parts) == 1 else ("", None)
    texts: list[Any] = value if way == "keyring" and isinstance(value, list) else [value]
    known = way in Connection.model_fields and len(texts) == (2 if way == "keyring" else 1)
    if not known or not all(isinstance(t, str) for t in texts):
        raise SourceError(
            '{file}: write connection = {{ env = "CRM_DATABASE_URL" }}, {{ keyring = ["service", "user"] }} or '
            '{{ url = "sqlite:///crm.db" }}: one of them.',
            file=file,
        )
    if way == "url":
        check_no_secret(file, texts[0])


def check_no_secret(where: str, url: str) -> None:
    """Raise SourceError where a URL holds a password, without repeating it."""
    user = url.partition("://")[2].rpartition("@")[0]  # a password may hold any sign, also / and ?
    if ":" in user or SECRET.search(url.partition("?")[2]):
        raise SourceError(
            "{where}: the URL of the database has a password in it, which would stay in files and logs. Put "
            "the URL into an environment variable or the keyring, and write connection = {{ env = "
            '"CRM_DATABASE_URL" }} or {{ keyring = ["service", "user"] }}.',
            where=where,
        )


def _explain(file: str, error: Any) -> str:
    place = ".".join(str(p) for p in error["loc"] if p not in ("tables",))
    kinds = {"extra_forbidden": Sentence("is no key of a source file"), "missing": Sentence("is missing")}
    days = dict.fromkeys(
        ("date_from_datetime_parsing", "date_parsing", "date_type"), Sentence("is no day such as 2026-09-30")
    )
    what = {**kinds, **days}.get(error["type"]) or fault_of(error)
    known = [*ColumnFormat.model_fields, *TableFormat.model_fields, *TableSource.model_fields, "from", *HEAD]
    hint = suggestion(str(error["loc"][-1]), known) if error["type"] == "extra_forbidden" else ""
    silent = error["type"] in ("missing", "extra_forbidden") or place.startswith("connection")
    value = "" if silent else Sentence(" (found {value!r})", value=error["input"])
    return Sentence("{file}: {place} {what}{value}.{hint}", file=file, place=place, what=what, value=value, hint=hint)


@cache
def presets() -> dict[str, Source]:
    """All presets that travel with salescoach or with other installed packages, by name."""
    files = sorted(kit_path("templates/sources").glob("*.toml"))
    ours = {s.preset.name: s for s in map(read_source, files) if s.preset is not None}
    return ours | _brought(ours)


def _brought(ours: Mapping[str, Source]) -> dict[str, Source]:
    """The presets of other packages. Raises UsageError that names the package where one cannot be used."""
    found: dict[str, Source] = {}
    for entry in plugins(SOURCES).values():
        for file in _source_files(entry):
            try:
                source = read_source(file)
            except SourceError as error:
                raise unusable(entry, str(error)) from error
            if source.preset is None or source.preset.name != file.stem:
                raise unusable(entry, f'{file.name} must say [preset] name = "{file.stem}"')
            if file.stem in ours or file.stem in found:
                raise unusable(entry, f"there is a preset {file.stem!r} already")
            found[file.stem] = source
    return found


def _source_files(entry: EntryPoint) -> list[Path]:
    folders = [Path(p) for p in getattr(load_plugin(entry), "__path__", ())]
    files = sorted(f for folder in folders for f in folder.glob("*.toml"))
    if not files:
        raise unusable(entry, f"{entry.value} is no folder with source files (.toml)")
    return files


def find_source(name: str) -> tuple[Source, Path | None]:
    """A preset by name, or a source file by path (then with its folder)."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return read_source(path), path.parent
    own = kit_path("templates/sources") / f"{name}.toml"
    if own.is_file():
        return read_source(own), None
    known = presets()
    if name in known:  # of another package
        return known[name], None
    raise UsageError(
        "There is no source {name!r}.{hint} Presets: {known}; or give a .toml file.",
        name=name,
        hint=suggestion(name, known),
        known=commas(known),
    )
