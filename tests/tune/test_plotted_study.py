"""The copy of a study that Optuna's plots draw, and the figures from it."""

from __future__ import annotations

import datetime
import math
import warnings

import numpy as np
import pytest
from optuna import Study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState, create_trial

from gckd.tune.report import parameter_figures, trial_figures
from gckd.tune.report.optuna_plots import silent_experimental_plots
from gckd.tune.report.plotted_study import parameter_axes, plotted_study, short_names
from tests.tune.studies import add, make_study, scores

DELTA, M, CAPACITY = "distill.matching.delta", "distill.teacher.m", "graph.memory.capacity"
WHOLE = {"graph.propagate": "gnn", "graph.propagate.k": 10, CAPACITY: 9, M: 0.01}


def searched() -> Study:
    """Two finished trials, of which the second collapsed; one stopped early; one failed."""
    study = make_study()
    add(study, "COMPLETE", [0.25, 0.5], WHOLE, [scores(), scores()])
    add(study, "FAIL", [], {DELTA: 0.3})
    add(study, "PRUNED", [-0.5], {DELTA: 0.5}, [scores()])
    add(study, "COMPLETE", [-12.0], WHOLE, [scores(rank_me=1.0)])
    return study


def test_trials_keep_their_numbers_and_values_are_clipped() -> None:
    copy = plotted_study(searched())
    assert [trial.state for trial in copy.trials] == [
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.COMPLETE,
        TrialState.COMPLETE,
    ]
    assert [trial.value for trial in copy.trials] == [0.5, None, -0.5, -0.5]
    assert [trial.intermediate_values for trial in copy.trials] == [{1: 0.25, 2: 0.5}, {}, {1: -0.5}, {1: -0.5}]
    finished = plotted_study(searched(), pruned=False).get_trials(states=(TrialState.COMPLETE,))
    assert [trial.number for trial in finished] == [0, 3]


def test_axes_show_config_values_on_the_sampled_scale() -> None:
    trial = plotted_study(searched()).trials[0]
    assert trial.params == {"propagate": "gnn", "k": 10, "capacity": 512, "1 - m": 0.01}
    assert trial.distributions == {
        "propagate": CategoricalDistribution(["gnn", "diffusion", "none"]),
        "k": IntDistribution(2, 50, log=True),
        "capacity": IntDistribution(256, 4096, log=True),
        "1 - m": FloatDistribution(1e-4, 1e-1, log=True),
    }


def test_a_path_that_is_not_in_the_space_has_the_sampled_axis() -> None:
    study = make_study(space={})
    add(study, "COMPLETE", [0.5], {M: 0.01})
    assert parameter_axes(study)[M].label == "m"
    assert plotted_study(study).trials[0].params == {"m": 0.01}


def test_a_component_given_as_a_mapping_is_shown_by_its_kind_if_that_is_unique() -> None:
    small, large = '{"k": 2, "kind": "gnn"}', '{"k": 9, "kind": "gnn"}'
    choices = ["none", {"kind": "gnn", "k": 2}]
    axis = parameter_axes(with_choices(choices, small))["graph.propagate"]
    assert [axis.value("none"), axis.value(small)] == ["none", "gnn"]
    axis = parameter_axes(with_choices([*choices, {"kind": "gnn", "k": 9}], small))["graph.propagate"]
    assert [axis.value("none"), axis.value(small), axis.value(large)] == ["none", small, large]


def with_choices(choices: list[object], value: str) -> Study:
    study = make_study(space={"graph.propagate": {"choice": choices}})
    trial = study.ask()
    trial.suggest_categorical("graph.propagate", [value, "none"])
    return study


def test_names_are_short_where_they_are_unique() -> None:
    assert short_names(["a.k", "b.k", "b.m"]) == ["a.k", "b.k", "m"]


def many() -> Study:
    study, draws = make_study(), np.random.default_rng(0)
    for number in range(12):
        delta, m = float(draws.uniform(0.3, 0.95)), float(10 ** draws.uniform(-4, -1))
        params = {DELTA: delta, M: m, CAPACITY: int(draws.integers(8, 13)), "graph.propagate": "gnn"}
        state = "PRUNED" if number % 3 else "COMPLETE"
        add(study, state, [delta - 0.1, delta], params, [scores(), scores()])
    return study


def test_figures_are_closed_and_leave_the_style_of_matplotlib_alone() -> None:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    before = mpl.rcParams["axes.facecolor"], plt.get_fignums()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [
            trial_figures.history(many(), None),
            parameter_figures.contours(many(), {}),
            parameter_figures.ranks(many(), {}),
        ]
        drawn += [
            parameter_figures.parallel(many()),
            trial_figures.timeline(many()),
            *parameter_figures.slices(many(), None),
        ]
    assert None not in drawn
    assert (mpl.rcParams["axes.facecolor"], plt.get_fignums()) == before


def test_only_the_warning_that_plots_are_experimental_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with silent_experimental_plots():
            warnings.warn("a.plot_slice is experimental (supported from v2.2.0)", ExperimentalWarning, stacklevel=1)
            for text, category in (("Argument `multivariate`", ExperimentalWarning), ("a.plot_slice", UserWarning)):
                with pytest.raises(category):
                    warnings.warn(text, category, stacklevel=1)


def test_contours_and_ranks_have_the_most_important_hyperparameters() -> None:
    figure = parameter_figures.contours(many(), {CAPACITY: 0.7, DELTA: 0.3})
    assert figure is not None
    panel, _ = figure.axes  # and the colour bar
    assert {panel.get_xlabel(), panel.get_ylabel()} == {"capacity", "delta"}


@pytest.mark.parametrize("values", [(0.0704, 0.0926), (0.01, 0.099), (0.0001, 0.1)])
def test_a_logarithmic_axis_has_several_ticks_inside(values: tuple[float, float]) -> None:
    study = make_study()
    for value in values:
        add(study, "COMPLETE", [value], {M: value}, [scores()])
    (figure,) = parameter_figures.slices(study, None)
    figure.canvas.draw()
    axis = figure.axes[0]
    low, high = axis.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axis.get_xticks()) <= 6


def test_ticks_of_whole_numbers_are_whole() -> None:
    study = make_study(space={})
    for seed in (1, 3):
        trial = create_trial(value=0.5, params={"seed": seed}, distributions={"seed": IntDistribution(0, 9)})
        study.add_trial(trial)
    (figure,) = parameter_figures.slices(study, None)
    figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


def test_ticks_of_logarithmic_axes_are_plain_numbers() -> None:
    figure, *_ = parameter_figures.slices(many(), None)
    figure.canvas.draw()
    texts = {axis.get_xlabel(): [label.get_text() for label in axis.get_xticklabels()] for axis in figure.axes}
    assert {"500", "1000", "2000"} <= set(texts["capacity"])
    assert all(math.log10(float(text)).is_integer() for text in texts["1 - m"])


@pytest.mark.parametrize("seconds", [0.5, 4, 40, 266, 400, 2000, 9000, 40_000, 200_000, 10**6, 10**7])
def test_the_timeline_has_few_ticks_over_any_time(seconds: float) -> None:
    study = make_study()
    begin = datetime.datetime(2026, 1, 5, 9, 30)
    for share in (0.0, 0.5):
        start = begin + datetime.timedelta(seconds=share * seconds)
        end = start + datetime.timedelta(seconds=seconds / 2)
        trial = create_trial(state=TrialState.COMPLETE, value=1.0)
        trial.datetime_start, trial.datetime_complete = start, end
        study.add_trial(trial)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = trial_figures.timeline(study)
        assert figure is not None
        figure.canvas.draw()
        low, high = figure.axes[0].get_xlim()
        assert 2 <= sum(low <= tick <= high for tick in figure.axes[0].get_xticks()) <= 12
