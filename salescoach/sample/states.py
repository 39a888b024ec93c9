"""What can be seen of the deals' ways on the last day of the book."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salescoach.sample.clock import NEVER, Positions, Seconds
from salescoach.sample.paths import KEYS, Paths
from salescoach.sample.truth import STAGES


@dataclass(frozen=True)
class States:
    """`entries` and `stays` have one row per entry or stay; the arrays one entry per deal.

    `last_working` is the last working stage a deal stood in, `closed` is NEVER while it is open.
    """

    entries: pd.DataFrame
    stays: pd.DataFrame
    stage: Positions
    last_working: Positions
    closed: Seconds


def final_states(paths: Paths, last: int) -> States:
    """Cuts the ways off at the last second of the book."""
    entries = paths.entries[paths.entries["at"] <= last].reset_index(drop=True)
    working = entries["stage"] < len(STAGES)
    until = entries.groupby("deal")["at"].shift(-1, fill_value=last)
    final = entries.groupby("deal").tail(1)
    is_open = (final["stage"] < len(STAGES)).to_numpy()
    return States(
        entries=entries,
        stays=entries.assign(until=until)[working].reset_index(drop=True),
        stage=final["stage"].to_numpy(),
        last_working=entries[working].groupby("deal")["stage"].last().to_numpy(),
        closed=np.where(is_open, NEVER, final["at"].to_numpy()),
    )


def stage_keys(stages: Positions) -> list[str]:
    """Stage keys of stage positions."""
    return [KEYS[stage] for stage in stages]
