"""Images read and decoded by Ray Data, for a dataset that is large: by the nodes of a cluster, a few hundred a task."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gckd.cluster.connect import cluster
from gckd.data.images import ImageInspection, inspect
from gckd.device import cores

if TYPE_CHECKING:
    from gckd.data.store import ImageInspector
    from gckd.data.types import ProgressCallback

_IMAGES = 256  # a task


@contextlib.contextmanager
def ray_inspection() -> Iterator[ImageInspector]:
    """For `build_store`: on this machine's cores, or the nodes of RAY_ADDRESS, which must all see the images.

    Raises:
        InputError: see `cluster`.
    """
    with cluster(cores(), 1) as (_, interruption):
        import ray.data as ray_data  # only now, see `cluster`

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray_data.DataContext.get_current().enable_progress_bars = False

        def inspector(paths: Sequence[Path], progress: ProgressCallback | None) -> list[ImageInspection]:
            items = [{"row": row, "path": str(path)} for row, path in enumerate(paths)]
            tasks = ray_data.from_items(items, override_num_blocks=-(-len(items) // _IMAGES))
            found = {}
            for line in tasks.map_batches(_inspected, batch_size=_IMAGES).iter_rows():  # in whatever order they end
                interruption.check()
                row = line.pop("row")
                found[row] = ImageInspection(**line)
                if progress:
                    progress(len(found), len(paths))
            return [found[row] for row in range(len(paths))]

        yield inspector


def _inspected(images: Any) -> Any:
    """Columns of a task's images: `row` and `path` -> `row` and what was found."""
    found = [inspect(Path(path)) for path in images["path"]]
    return {"row": images["row"]} | {
        name: np.array([getattr(one, name) for one in found], dtype=object) for name in ImageInspection._fields
    }
