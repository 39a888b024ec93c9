"""Columns of text, compared many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def places_in(texts: pd.Series, known: pd.Series | pd.Index) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The first place of each text among the known ones; -1 where it is not there."""
    found = pc.index_in(_array(texts), value_set=_array(known))
    places: np.ndarray[Any, np.dtype[np.intp]] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.intp)
    return places


def is_in(texts: pd.Series, known: Iterable[str | None]) -> pd.Series:
    """Which texts are among the known ones; null is not. As `isin`, in a tenth of its time for many."""
    found = pc.is_in(_array(texts), value_set=_array(known).drop_null())
    return pd.Series(found.to_numpy(zero_copy_only=False), texts.index)


def _array(texts: Iterable[str | None]) -> pa.Array:
    found = pa.array(texts, type=pa.large_string(), from_pandas=True)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
