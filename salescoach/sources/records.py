"""The records of one file before their columns are understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

Texts: TypeAlias = "Sequence[str] | pd.Series[str]"


@dataclass
class Records:
    """Header, one sequence of texts per column, the first line of each record, and how many records were blank.

    numbers  place of each record among all below the header, blank and rejected ones counted; default 1, 2, 3, …
    plain    whether it is known that no control character stands in the columns
    cut      whether the last line has no end, as after a broken download
    """

    header: list[str]
    columns: Sequence[Texts]
    lines: Sequence[int]
    blank: int
    numbers: Sequence[int] = ()
    plain: bool = False
    cut: bool = False

    def __post_init__(self) -> None:
        self.numbers = self.numbers or range(1, len(self.lines) + 1)

    @classmethod
    def from_rows(
        cls,
        header: list[str],
        rows: list[list[str]],
        lines: list[int],
        blank: int,
        numbers: Sequence[int] = (),
        plain: bool = False,
        cut: bool = False,
    ) -> Records:
        columns: Sequence[Texts] = list(zip(*rows, strict=True)) if rows else [() for _ in header]
        return cls(header, columns, lines, blank, numbers, plain, cut)


def is_blank(record: Sequence[str]) -> bool:
    """Whether no field of the record holds anything."""
    return not (record and record[0].strip()) and not "".join(record).strip()
