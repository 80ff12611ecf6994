"""The command `gckd ablate`, which is also `python ablations/run.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gckd.ablations.ablation import run_ablation
from gckd.ablations.components import ADDED, COMPONENTS
from gckd.ablations.options import AblationOptions
from gckd.ablations.spec import Spec, load_spec, spec_names
from gckd.ablations.tuned_rows import FACTORS
from gckd.cli.options import cache_option, config_options, track_option
from gckd.cli.parameter_types import AT_LEAST_ONE
from gckd.cli.worker_options import check_gpu, gpu_option, gpus_option, workers_option
from gckd.cluster.tasks import RunFunctions
from gckd.config import Config, parse_edits

_SEEDS = 3
_DROP_HELP = (
    f"Add a row without these components, as NAME or NAME,NAME: {', '.join(COMPONENTS)}, or the path of a config slot "
    "that can be none (align, metric, selfsup).  [repeatable]"
)
_ADD_HELP = f"Add the source-only baseline, and a row of it with these components: {', '.join(ADDED)}.  [repeatable]"
_FACTORIAL_HELP = "Add a row without each combination of these components, NAME,NAME, and their Shapley values."
_SWEEP_HELP = "Add a row for each value of a config field, for example graph.propagate.k=2,5,20.  [repeatable]"
_CEILING_HELP = (
    "Add the row supervised: the same steps on the target's labelled train split, and the share of its gain that each "
    "row reaches. It reads target labels: an upper reference, not a method."
)
_TUNED_HELP = (
    "Choose a learning rate for each row, then train the table with it. Candidates are "
    f"adapt.lr of the row times {', '.join(f'{factor:g}' for factor in sorted(FACTORS))}. Each is trained once, with a "
    "seed that the table does not use; the default score of gckd tune, which reads no target labels, selects one. "
    f"Costs {len(FACTORS)} more runs per row, and one more source model."
)
_SPEC_HELP = (
    f"Spec with rows, seeds and edits: a YAML file, or one of {', '.join(spec_names())}. --set wins over the edits of "
    "the spec; the table then says that the spec is changed."
)
_DATASET_HELP = "Dataset of a spec with `pairs: all`, FOLDER or FORMAT:FOLDER.  [repeatable]"
_SEEDS_HELP = f"Seeds per row.  [default: those of the spec, or {_SEEDS}]"
_OUT_HELP = "Output folder, or s3://BUCKET/NAME.  [default: runs/<name and digest>]"
_WORKERS_HELP = (
    "Concurrent runs. On a cluster, it limits only runs with several workers.  [default: by the number of cores, or as "
    "many as the cluster fits]"
)
_DRY_RUN_HELP = "Print the rows, the number of runs and an estimate of time and memory, and start nothing."
_MIXED_HELP = "Accept runs of other code, plugins, data or training budget, and mark their rows with †."


@click.command()
@config_options
@click.option("--drop", "drops", multiple=True, metavar="NAMES", help=_DROP_HELP)
@click.option("--add", "adds", multiple=True, metavar="NAMES", help=_ADD_HELP)
@click.option("--factorial", metavar="NAMES", help=_FACTORIAL_HELP)
@click.option("--sweep", "sweeps", multiple=True, metavar="PATH=V,V", help=_SWEEP_HELP)
@click.option("--ceiling", is_flag=True, help=_CEILING_HELP)
@click.option("--tuned-rows", is_flag=True, help=_TUNED_HELP)
@click.option("--spec", "spec_name", metavar="NAME|FILE", help=_SPEC_HELP)
@click.option("--dataset", "datasets", multiple=True, metavar="DATASET", help=_DATASET_HELP)
@click.option("--seeds", type=AT_LEAST_ONE, help=_SEEDS_HELP)
@click.option("--out", metavar="FOLDER|URI", help=_OUT_HELP)
@click.option("--resume", is_flag=True, help="Resume the table in --out; finished runs are not repeated.")
@click.option("--dry-run", is_flag=True, help=_DRY_RUN_HELP)
@gpu_option
@click.option("--mixed", is_flag=True, help=_MIXED_HELP)
@click.option("--workers", type=AT_LEAST_ONE, help=_WORKERS_HELP)
@workers_option("run", "workers_per_run")
@gpus_option()
@click.option("--threads", type=AT_LEAST_ONE, default=1, show_default=True, help="CPU threads per worker of a run.")
@track_option
@cache_option
@click.pass_obj
def ablate(
    functions: RunFunctions | None,
    /,
    config: Config,
    spec_name: str | None,
    seeds: int | None,
    **given: Any,
) -> int:
    """Train the method with and without its components, and write a table.

    A row drops, adds or changes parts of the method. All rows have the same seeds and batches, and the same source
    model unless a row changes it. Every table has the source model, without adaptation, as the row source-model. Ray
    distributes the runs. Without --source and --target, the generated benchmark street is used; it is drawn once, into
    the cache. `gckd ablate` and `python ablations/run.py` are the same command.

    The command ends with the table, the finding in one sentence, and the warnings. The output folder has report.html
    with everything else, table.tex (compact) and table_full.tex for a paper, setup.tex with the experimental setup, and
    the figures as PDF and SVG.

    \b
    Examples:
      gckd ablate --drop gmp --drop gmp,cmkd --seeds 5
      gckd ablate --spec table4 --ceiling
      gckd ablate --spec table4 --set adapt.steps=20 --seeds 1 --dry-run
      gckd ablate --spec table4 --preset base --dry-run --gpu h100
      gckd ablate --drop gmp --tuned-rows
      gckd ablate --sweep graph.propagate.k=2,5,20
      gckd ablate --spec table4 --gpus-per-worker 0.5
      gckd ablate --spec table4 --workers-per-run 4
    """
    check_gpu(given["gpu"], given["dry_run"])
    spec = load_spec(spec_name) if spec_name else Spec()
    assignments = click.get_current_context().params["assignments"]
    options = AblationOptions(
        spec=spec,
        spec_changes=tuple(assignments) if spec_name else (),
        name=Path(spec_name or "").stem,
        seeds=seeds or spec.seeds or _SEEDS,
        functions=functions or RunFunctions(),
        **given,
    )
    return 0 if run_ablation(config, parse_edits(assignments), options) else 1
