"""Inspection of the images of a large dataset by Ray Data, in tasks of a few hundred images."""

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
    from gckd.data.store_builder import ImageInspector
    from gckd.data.types import ItemProgress

_IMAGES_PER_TASK = 256


@contextlib.contextmanager
def ray_inspection() -> Iterator[ImageInspector]:
    """Image inspection for `build_store`, on this machine's cores or on the nodes of RAY_ADDRESS.

    All nodes must see the images.

    Raises:
        InputError: see `cluster`.
    """
    with cluster(cores(), 1) as (_, interruption):
        import ray.data as ray_data  # not earlier, see `cluster`

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray_data.DataContext.get_current().enable_progress_bars = False

        def inspector(paths: Sequence[Path], progress: ItemProgress | None) -> list[ImageInspection]:
            items = [{"row": row, "path": str(path)} for row, path in enumerate(paths)]
            tasks = ray_data.from_items(items, override_num_blocks=-(-len(items) // _IMAGES_PER_TASK))
            inspections = {}
            for line in tasks.map_batches(
                _inspected, batch_size=_IMAGES_PER_TASK
            ).iter_rows():  # in order of completion
                interruption.check()
                row = line.pop("row")
                inspections[row] = ImageInspection(**line)
                if progress:
                    progress(len(inspections), len(paths))
            return [inspections[row] for row in range(len(paths))]

        yield inspector


def _inspected(images: Any) -> Any:
    """Columns of a batch of images: `row` and `path` -> `row` and the fields of `ImageInspection`."""
    inspections = [inspect(Path(path)) for path in images["path"]]
    fields = zip(ImageInspection._fields, zip(*inspections, strict=True), strict=True)
    return {"row": images["row"]} | {name: np.array(values, dtype=object) for name, values in fields}
