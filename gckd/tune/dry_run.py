"""What a search will do, before it does it: the lines of `--dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.runs.progress_display import clock_text
from gckd.training.timing import StepSeconds
from gckd.tune.plan import REDUCTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gckd.config import Config
    from gckd.tune.plan import Plan
    from gckd.tune.space.space import Space


def planned(plan: Plan, config: Config, space: Space, sampler: str, select: str, done: int) -> Iterator[str]:
    """One line a fact.

    Args:
        done: trials that the study has already.
    """
    yield f"source {config.data.source} (labelled), target {config.data.target} (unlabelled)"
    for line in space.describe():
        yield f"  {line}"
    left = max(0, plan.trials - done)
    yield f"{plan.trials} trials by {sampler}, {done} of them done; scheduler {plan.scheduler}; selected by {select}"
    seeds, steps, epochs = len(plan.seeds), config.adapt.steps, config.adapt.evaluations
    yield f"a trial: {seeds} seed{'s' * (seeds > 1)} of {steps} steps in {epochs} epochs"
    each = f"{plan.workers} worker{'s' * (plan.workers > 1)} of {plan.threads} CPU and {plan.gpus:g} GPU"
    yield f"resources of a trial: {each}; {plan.concurrent} trials at a time, {left} to run"


def estimate(plan: Plan, config: Config, seconds: StepSeconds, done: int) -> str:
    """How long it may take, in words; evaluations and start-up apart, pruning counted as if no trial were stopped."""
    seeds, left = len(plan.seeds), max(0, plan.trials - done)
    source = config.pretrain.steps * config.pretrain.accumulate * seconds.pretrain
    trial = config.adapt.steps * config.adapt.accumulate * seconds.adapt
    before = 0.0 if seconds.pretrained else source * -(-seeds // plan.concurrent)
    whole = before + trial * seeds * -(-left // plan.concurrent)
    least = before + trial * seeds * -(-left // plan.concurrent) / REDUCTION
    spread = f"{clock_text(least)} to {clock_text(whole)}" if plan.scheduler == "asha" else f"about {clock_text(whole)}"
    known = "in the cache" if seconds.pretrained else f"{clock_text(source)} a seed"
    return (
        f"estimate, from {1000 * seconds.pretrain:.0f} ms a pre-training step and {1000 * seconds.adapt:.0f} ms an "
        f"adaptation step here: source model {known}, a trial {clock_text(trial * seeds)}, the search {spread}, "
        "evaluations apart"
    )
