"""What every fit gives: a table, how many records stand behind it, and warnings written as advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Advice:
    """A warning for the reader: `text` with `values` in its {places}, so that a page can say it in another language."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text.format(**self.values) if self.values else self.text


@dataclass(frozen=True)
class Fit:
    """The frozen result of a fit.

    table      one row per thing that was estimated; its columns stand in the docstring of the function that made it
    n          records behind it
    warnings   what to keep in mind: what was seen, what it may come from, what to try
    """

    table: pd.DataFrame
    n: int
    warnings: tuple[Advice, ...] = ()

    def _repr_html_(self) -> str:
        warned = "".join(f"<li>{escape(str(advice))}</li>" for advice in self.warnings)
        return f"{self.table.to_html(index=False)}<p>n = {self.n:,}</p>" + (f"<ul>{warned}</ul>" if warned else "")
