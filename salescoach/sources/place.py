"""Where input is: paths, globs, folders, and the URLs of any store that fsspec knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from salescoach.errors import FileRejected, Sentence, UsageError, commas

DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".parquet", ".pq")
PARQUET = (".parquet", ".pq")
URL = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.\-]+):/+")  # two letters or more: `C:/` is a drive
WILD = re.compile(r"[*?\[]")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
CLOUD = 'pip install "salescoach[cloud]"'
LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi", "metadata": "Iceberg"}


@dataclass(frozen=True, order=True, repr=False)
class Remote:
    """A file or folder behind a URL. What it prints leaves out the query, where signed links carry their key."""

    url: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def __repr__(self) -> str:
        return f"Remote({str(self)!r})"

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        return unquote(str(self).rstrip("/").rpartition("/")[2])

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    @property
    def parent(self) -> Remote:
        return Remote(str(self).rstrip("/").rpartition("/")[0])

    def is_file(self) -> bool:
        return self.suffix.casefold() in DATA_SUFFIXES and not self.is_dir()

    def is_dir(self) -> bool:
        """Whether it is a folder. What is named like a text file or workbook is not asked: a server sends it whole."""
        if self.suffix.casefold() in DATA_SUFFIXES and self.suffix.casefold() not in PARQUET:
            return False
        system, path = self._open_store()
        return bool(_asked(self, lambda: system.isdir(path)))

    def iterdir(self) -> list[Remote]:
        system, path = self._open_store()
        return self._places(system, _asked(self, lambda: system.ls(path, detail=False)))

    def hits(self) -> list[Remote]:
        """Files and folders that fit this URL as a pattern."""
        system, path = self._open_store()
        return self._places(system, _asked(self, lambda: system.glob(path)))

    def read(self, size: int | None = None) -> bytes:
        system, path = self._open_store()
        content: bytes = _asked(self, lambda: system.cat_file(path, *(() if size is None else (0, size))))
        return content[:size]

    def _open_store(self) -> tuple[Any, str]:
        try:
            import fsspec
        except ImportError:
            raise UsageError("{url} is a URL, and reading URLs needs fsspec: {cloud}", url=self, cloud=CLOUD) from None
        try:
            system, path = fsspec.core.url_to_fs(self.url)
        except ImportError as error:  # "Install s3fs to access S3"
            needed = f"{error}. " if "Install" in str(error) else ""
            raise UsageError(
                "{url} cannot be opened: a library is missing. {needed}Else: {cloud}",
                url=self,
                needed=needed,
                cloud=CLOUD,
            ) from None
        except ValueError:
            raise UsageError(
                "{url}: no store is known by {scheme}://. Check the URL.", url=self, scheme=urlsplit(self.url).scheme
            ) from None
        return system, path

    def _places(self, system: Any, paths: Iterable[str]) -> list[Remote]:
        return sorted(Remote(str(system.unstrip_protocol(p))) for p in paths)


Place = Path | Remote


def as_place(given: str | Path | Remote) -> Place:
    """A path, or a URL (also one that a Path has shortened to `s3:/bucket`). Raises UsageError for a password in it."""
    if isinstance(given, Remote):
        return given
    text = str(given)
    scheme = URL.match(text)
    if scheme is None:
        return Path(given)
    if scheme[1].casefold() == "file":
        return Path(unquote(urlsplit(text).path))
    url = f"{scheme[1]}://{text[scheme.end() :]}"
    if urlsplit(url).password:
        raise UsageError(
            "{url}: a URL with a password in it is not read, it would end up in logs. Put the password where "
            "the library of the store looks for it, such as an environment variable.",
            url=Remote(url),
        )
    return Remote(url)


def name_of(place: Place) -> str:
    """The name of a file in messages; of a part of a Parquet folder with the folders that are its partitions."""
    return "/".join([*(folder.name for folder in _own_folders(place)), place.name])


def title(place: Place) -> str:
    """What a file says of its content by its name; a part of a Parquet folder by the folder's."""
    folders = _own_folders(place)
    if not folders:
        return place.stem
    top = folders[0]
    return top.parent.name if "=" in top.name else top.stem


def partitions(place: Place) -> dict[str, str]:
    """Columns that a Parquet file has by the folders it lies in, `year=2025`, and their value as text."""
    pairs = (folder.name.partition("=") for folder in _own_folders(place) if "=" in folder.name)
    return {unquote(k): "" if v == NO_VALUE else unquote(v) for k, _, v in pairs}


def _own_folders(place: Place) -> list[Place]:
    """The folders above a Parquet file that are part of its table, from the top."""
    folders: list[Place] = []
    above: Place = place.parent
    while place.suffix.casefold() in PARQUET and ("=" in above.name or above.suffix.casefold() in PARQUET):
        folders.insert(0, above)
        above = above.parent
    return folders


def data_files(places: Iterable[Place]) -> list[Place]:
    """The files given, in order: patterns filled in, folders opened one level deep, Parquet folders to their parts.

    Raises FileRejected for what is not there, UsageError where nothing is to be read.
    """
    given = list(places)
    files: list[Place] = []
    for place in given:
        if _is_pattern(place):
            files += _fitting(place)
        elif place.is_dir():
            files += files_in(place)
        elif isinstance(place, Remote) or place.is_file():
            files.append(place)
        else:
            raise FileRejected("{place} does not exist. Check the path.", place=place)
    if not files:
        raise UsageError("No data files in {given}. Give CSV, Excel or Parquet files.", given=commas(map(str, given)))
    return list(dict.fromkeys(files))


def files_in(folder: Place) -> list[Place]:
    """The data files of a folder, and the parts of the Parquet folders in it."""
    _refuse_table_format(folder)
    return _filled(_parts(folder)) if _is_parquet_folder(folder) else _among(entries_of(folder))


def entries_of(folder: Place) -> list[Place]:
    return [*folder.iterdir()] if isinstance(folder, Remote) else [*sorted(folder.iterdir())]


def beside(folder: Path, pattern: str) -> list[Place]:
    """What a source file names: a URL, or a path or pattern relative to the folder of the source file."""
    place = as_place(pattern)
    if isinstance(place, Remote):
        return data_files([place])
    root = Path(place.anchor) if place.is_absolute() else folder
    hits = sorted(root.glob(str(place.relative_to(place.anchor))))
    if WILD.search(pattern):
        others = [h for h in hits if h.is_file() and h.suffix.casefold() not in DATA_SUFFIXES]
        return [*others, *_among([h for h in hits if _shown(h.parent)])]
    return [f for h in hits for f in (files_in(h) if h.is_dir() else [h])]


def fits(file: Place, pattern: str) -> bool:
    """Whether a file given is the one that a source file names: by its own name, or that of its folder."""
    name = as_place(pattern).name
    own = _own_folders(file)
    folder = (own[0] if own else file).parent.name
    return fnmatch(file.name, name) or (pattern.endswith("/") and name in (folder, *(f.name for f in own)))


def read_bytes(place: Place, size: int | None = None) -> bytes:
    """The content, or its first bytes. Raises FileRejected where it cannot be read."""
    if isinstance(place, Remote):
        return place.read(size)
    try:
        with place.open("rb") as handle:
            return handle.read() if size is None else handle.read(size)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise FileRejected("{place} does not exist. Check the path.", place=place) from None
    except OSError as error:
        raise FileRejected("{place} cannot be read ({problem}).", place=place, problem=error.strerror) from error


def _is_pattern(place: Place) -> bool:
    if isinstance(place, Remote):
        return bool(WILD.search(urlsplit(place.url)._replace(query="").geturl()))
    return bool(WILD.search(str(place))) and not place.exists()


def _fitting(place: Place) -> list[Place]:
    """The data files that fit a pattern; Raises FileRejected where there is none."""
    if isinstance(place, Remote):
        files = _among([h for h in place.hits() if _shown(h.parent)])
    else:
        root = Path(place.anchor)
        hits = sorted(root.glob(str(place.relative_to(place.anchor))))
        files = _among([h for h in hits if _shown(h.parent)])
    if not files:
        raise FileRejected("No CSV, Excel or Parquet file fits {place}. Check the pattern.", place=place)
    return files


def _among(entries: Sequence[Place]) -> list[Place]:
    """The data files among some entries, and the parts of the Parquet folders."""
    files: list[Place] = []
    for entry in entries:
        if entry.suffix.casefold() in DATA_SUFFIXES and not entry.is_dir():
            files.append(entry)
        elif _shown(entry) and entry.is_dir() and _is_parquet_folder(entry):
            files += _parts(entry)
    return _filled(files)


def _filled(files: list[Place]) -> list[Place]:
    """Without the Parquet parts that hold no row, as Spark writes them, unless nothing else is there."""
    return [f for f in files if f.suffix.casefold() not in PARQUET or not _has_no_row(f)] or files[:1]


def _is_parquet_folder(folder: Place) -> bool:
    """Whether a folder is one table in parts, as Spark and pandas write it: `deals.parquet/` or `deals/year=2025/`."""
    if folder.suffix.casefold() in PARQUET or "=" in folder.name:
        return True
    return any("=" in entry.name and _shown(entry) and entry.is_dir() for entry in folder.iterdir())


def _parts(folder: Place) -> list[Place]:
    """The Parquet files below a folder; what begins with a dot or underscore is of the program that wrote it."""
    _refuse_table_format(folder)
    parts: list[Place] = []
    for entry in entries_of(folder):
        if _shown(entry) and entry.suffix.casefold() in PARQUET and not entry.is_dir():
            parts.append(entry)
        elif _shown(entry) and entry.is_dir():
            parts += _parts(entry)
    return parts


def _shown(entry: Place) -> bool:
    return not entry.name.startswith(("_", "."))


def _has_no_row(part: Place) -> bool:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_metadata(io.BytesIO(part.read()) if isinstance(part, Remote) else part).num_rows == 0)
    except (pa.ArrowInvalid, OSError):
        return False  # a damaged part is refused when it is read


def _refuse_table_format(folder: Place) -> None:
    """A folder with a log of its own: its files also hold rows that were deleted since."""
    names = {e.name for e in folder.iterdir()}
    kind = next((k for log, k in LOGS.items() if log in names), None)
    if kind is None or (kind == "Iceberg" and "data" not in names):
        return
    raise FileRejected(
        "{folder} is a {kind} table: its files may hold rows that were deleted since. Export it as Parquet, or "
        "read it with SQL.",
        folder=folder,
        kind=kind,
    )


def _asked(place: Remote, question: Any) -> Any:
    """The answer of a store. Raises FileRejected in words that leave the query of the URL out."""
    try:
        return question()
    except FileNotFoundError:
        problem = Sentence("does not exist. Check the URL.")
    except Exception as error:  # every store raises kinds of its own
        said = str(error).replace(place.url, str(place)).replace(urlsplit(place.url).query or place.url, "…")
        problem = Sentence(
            "cannot be read ({kind}: {said}). Check the URL and your access.", kind=type(error).__name__, said=said
        )
    raise FileRejected("{place} {problem}", place=place, problem=problem)
