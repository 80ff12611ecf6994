"""Plan and time estimate that `--dry-run` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.runs.run_state import clock_text
from gckd.training.timing import StepSeconds
from gckd.tune.plan import REDUCTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gckd.config import Config
    from gckd.tune.plan import Plan
    from gckd.tune.space.space import Space


def plan_lines(plan: Plan, config: Config, space: Space, sampler: str, select: str, finished: int) -> Iterator[str]:
    """The plan, one fact per line.

    Args:
        finished: trials that the study has already.
    """
    yield f"source: {config.data.source} (labelled), target: {config.data.target} (unlabelled)"
    yield "space:"
    for line in space.describe():
        yield f"  {line}"
    yield f"trials: {plan.trials} in the study, {finished} of them finished, {max(0, plan.trials - finished)} to run"
    yield f"sampler: {sampler}, scheduler: {plan.scheduler}, selection score: {select}"
    seeds, steps, epochs = len(plan.seeds), config.adapt.steps, config.adapt.evaluations
    yield f"per trial: {_count(seeds, 'seed')} of {_count(steps, 'step')} in {_count(epochs, 'epoch')}"
    yield _confirmation(plan)
    yield f"resources per trial: {plan.resources.text()}; {_count(plan.concurrent, 'trial')} at a time"


def _confirmation(plan: Plan) -> str:
    seeds = plan.confirmation_seeds
    if not seeds:
        return "confirmation: off"
    return (
        f"confirmation: {3 * seeds} runs after the search: the chosen config, the base config and "
        f"the source model with {_count(seeds, 'further seed')} (--confirm-seeds {seeds}; 0: off)"
    )


def estimate(plan: Plan, config: Config, seconds: StepSeconds, finished: int) -> str:
    """Time estimate in words. It leaves out evaluations and start-up; its upper end assumes that no trial is stopped.

    Args:
        seconds: per training step.
        finished: trials that the study has already.
    """
    seeds, left = len(plan.seeds), max(0, plan.trials - finished)
    source = config.pretrain.steps * config.pretrain.accumulate * seconds.pretrain
    trial = config.adapt.steps * config.adapt.accumulate * seconds.adapt
    before = 0.0 if seconds.pretrained else source * -(-seeds // plan.concurrent)
    longest = before + trial * seeds * -(-left // plan.concurrent)
    shortest = before + trial * seeds * -(-left // plan.concurrent) / REDUCTION
    stops = plan.scheduler == "asha"
    total = f"{clock_text(shortest)} to {clock_text(longest)}" if stops else f"about {clock_text(longest)}"
    confirmation = (source + 2 * trial) * -(-plan.confirmation_seeds // plan.concurrent)
    confirmation_text = f", confirmation {clock_text(confirmation)}" if confirmation else ""
    source_text = "in the cache" if seconds.pretrained else f"{clock_text(source)} per seed"
    return (
        f"estimate: {total} for the search without evaluations; source model {source_text}, a trial "
        f"{clock_text(trial * seeds)}{confirmation_text} ({seconds.origin}: {1000 * seconds.pretrain:.0f} ms per "
        f"pre-training step, {1000 * seconds.adapt:.0f} ms per adaptation step)"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
