"""What papermill finds under the name `salescoach` when it looks for engines; ours is imported when it is used.

papermill loads every engine that is installed as soon as it is imported: nobody else's papermill is to become slower by
ours, and ours imports papermill itself.
"""

from __future__ import annotations

from typing import Any


class _Later(type):
    def __getattr__(cls, name: str) -> Any:
        from salescoach.batch.engine import InProcessEngine

        return getattr(InProcessEngine, name)


class PapermillEngine(metaclass=_Later):
    """Everything that is asked of it is answered by `salescoach.batch.engine.InProcessEngine`."""
