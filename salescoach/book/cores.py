"""Work shared out among the cores: what numpy and Arrow do with long columns, they do in several threads at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Found = TypeVar("Found")


def side_by_side(work: Callable[[Part], Found], parts: Sequence[Part]) -> Iterator[Found]:
    """What the work finds in each of the parts, in their order."""
    if len(parts) == 1:
        yield work(parts[0])
        return
    cores = min(len(parts), os.cpu_count() or 1)
    with ThreadPoolExecutor(cores) as pool:
        waiting: deque[Future[Found]] = deque()
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) > cores:  # what is found is handed on before more is looked for
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
