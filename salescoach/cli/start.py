"""A company's own kit: `init` copies what people edit, or drafts a source and a process file from their data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from salescoach.cli.command import Command, tell
from salescoach.cli.language import say
from salescoach.cli.options import files_argument, process_option, source_option
from salescoach.errors import Sentence, StorageError, UsageError, commas
from salescoach.wording import N_

COPIED = ("templates", "notebooks")
LEFT_OUT = ("__pycache__", ".ipynb_checkpoints")
SETTINGS = Sentence("""\
# The settings of this folder, in one place for the people who use it. No command reads this file by itself: behind
# each setting stands the option that takes it.

book = "my-book"                                # --book: where `salescoach load` puts the book
source = ""                                     # --source: a preset, or a file such as "source.toml"; "" detects it
process = "templates/process/standard.toml"     # --process: your sales process, the first file to edit
language = "en"                                 # --language: "en" or "zh"
currency = "CNY"                                # --currency: of amounts that name none
""")
DRAFTS = ("source.toml", "process.toml")


@click.command(cls=Command)
@click.option("--from-data", is_flag=True, help="Draft source.toml and process.toml from the files, to edit.")
@source_option
@process_option
@files_argument("[FILE…] [DIR]")
def init(files: tuple[str, ...], from_data: bool, source: str | None, process: str | None) -> None:
    """Start a kit folder of your own (default: here), or draft the files that describe your export.

    Nothing that is there is overwritten.
    """
    if from_data:
        draft(files, source, process)
    elif source or process:
        raise UsageError("--source and --process go with --from-data FILE…: they say where the draft starts from.")
    elif len(files) > 1:
        raise UsageError("Name one folder. To draft files from your data: salescoach init --from-data FILE… [DIR].")
    else:
        copy_kit(Path(files[0] if files else "."))


# --- the kit ---------------------------------------------------------------------------------------


def copy_kit(folder: Path) -> None:
    """Write what is not there yet, and name what is."""
    written, there = 0, []
    for name, content in kit_files():
        if write_new(folder / name, content):
            written += 1
        else:
            there.append(name)
    tell("{folder}: {written:,} files written.", folder=folder, written=written)
    if there:
        some = commas(there[:5]) if len(there) <= 5 else _with_more(there[:5], len(there) - 5)
        tell("Already there and left as they are: {some}.", some=some)
    process = folder / "templates/process/standard.toml"
    tell("Next: edit {process}, then salescoach check FILE… --process {process}", process=process)
    tell("The notebooks: {command}", command=f"jupyter lab {folder / 'notebooks/start_here.ipynb'}")


def _with_more(names: list[str], more: int) -> Sentence:
    return Sentence("{names} and {n:,} more", names=commas(names), n=more)


def kit_files() -> Iterator[tuple[str, bytes]]:
    """Every file of a kit folder, by its path in it."""
    from salescoach.kit import kit_path

    yield "salescoach.toml", say(SETTINGS).encode()
    for name in COPIED:
        root = kit_path(name)
        for file in sorted(f for f in root.rglob("*") if f.is_file()):
            place = file.relative_to(root)
            if not set(place.parts) & set(LEFT_OUT):
                yield f"{name}/{place.as_posix()}", file.read_bytes()


def write_new(file: Path, content: bytes) -> bool:
    """Whether the file was written: one that is there is never replaced."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as handle:
            handle.write(content)
    except FileExistsError:
        if not file.exists():
            raise StorageError("{parent} is no folder. Choose another folder.", parent=file.parent) from None
        return False
    except NotADirectoryError:
        raise StorageError("{parent} is no folder. Choose another folder.", parent=file.parent) from None
    return True


# --- drafts ----------------------------------------------------------------------------------------


class Target(NamedTuple):
    files: tuple[str, ...]
    folder: Path


def draft(given: tuple[str, ...], source: str | None, process: str | None) -> None:
    """Write source.toml and process.toml for an export, and say what a person has to decide."""
    from salescoach.cli.findings import Settings
    from salescoach.sources.propose import propose

    files, folder = target(given)
    there = [str(folder / name) for name in DRAFTS if (folder / name).exists()]
    if there:
        raise UsageError(
            N_(
                "{files} is there already, and nothing was written. Move it away, or name another folder as the last "
                "word."
            )
            if len(there) == 1
            else N_(
                "{files} are there already, and nothing was written. Move them away, or name another folder as the "
                "last word."
            ),
            files=commas(there),
        )
    proposal = propose(files, source, process)
    for name, text in zip(DRAFTS, (proposal.source, proposal.process), strict=True):
        write_new(folder / name, say(text).encode())
    tell(
        "Wrote {source} and {process}. Read and correct them; nothing is loaded yet.",
        source=folder / DRAFTS[0],
        process=folder / DRAFTS[1],
    )
    tell("What the data do not say, or not for certain:")
    for doubt in proposal.doubts:
        tell("  - {doubt}", doubt=doubt)
    follow = Settings(files, {"source": str(folder / DRAFTS[0])}).command("check")
    tell("Next: {follow}", follow=follow)


def target(given: tuple[str, ...]) -> Target:
    """The files, and the folder for the drafts: the last word, where it is no data; else here."""
    if not given:
        raise UsageError("Say which export to draft from: salescoach init --from-data FILE… [DIR].")
    *files, last = given
    if files and not is_data(last):
        return Target(tuple(files), Path(last))
    return Target(given, Path())


def is_data(word: str) -> bool:
    """Whether a word names something to read: a URL, a pattern, a data file, or a folder with data files in it."""
    from salescoach.sources.place import DATA_SUFFIXES

    path = Path(word)
    if "://" in word or re.search(r"[*?\\[]", word) or path.is_file() or path.suffix.casefold() in DATA_SUFFIXES:
        return True
    return path.is_dir() and any(f.suffix.casefold() in DATA_SUFFIXES for f in path.iterdir())
