"""NSGA-II and TPE of optuna, with the interface of the other searches."""

from collections.abc import Sequence
from typing import Any, Literal

from qmd.search.search import Evaluated, Search
from qmd.search.space import Choice, Integer, Parameter, Real, Space, Value, Values

Sampler = Literal["nsga2", "tpe"]


class OptunaSearch(Search):
    """Search by a sampler of optuna, in memory.

    Parameters
    ----------
    space : Space
    n_objectives : int
    seed : int
    sampler : {"nsga2", "tpe"}
    population : int, optional
        Points in a generation of NSGA-II; default: that of optuna.
    """

    def __init__(
        self,
        space: Space,
        n_objectives: int,
        seed: int,
        *,
        sampler: Sampler,
        population: int | None = None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = seed % 2**32  # of optuna
        chosen: Any
        if sampler == "nsga2":
            more: dict[str, Any] = {} if population is None else {"population_size": population}
            chosen = optuna.samplers.NSGAIISampler(seed=seed, **more)
        else:
            chosen = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(directions=["minimize"] * n_objectives, sampler=chosen)
        self._space = space
        self._distributions = {
            str(k): _distribution(parameter) for k, parameter in enumerate(space.parameters)
        }
        self._trials: list[Any] = []

    def ask(self, count: int) -> list[Values]:
        self._trials = [self._study.ask(self._distributions) for _ in range(count)]
        return [self._values(trial.params) for trial in self._trials]

    def tell(self, results: Sequence[Evaluated]) -> None:
        from optuna.trial import TrialState

        for trial, result in zip(self._trials, results, strict=True):
            if result.objectives is None:
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            for k, value in enumerate(result.constraints):
                trial.set_constraint(str(k), value)
            self._study.tell(trial, result.objectives)

    def _values(self, found: dict[str, Any]) -> Values:
        return tuple(
            _of_sampler(parameter, found[str(k)])
            for k, parameter in enumerate(self._space.parameters)
        )


def _distribution(parameter: Parameter) -> Any:
    """Return the distribution of optuna; values of a choice are named by their place."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match parameter:
        case Real():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case Integer(step=1):
            return IntDistribution(parameter.low, parameter.last, log=parameter.log)
        case Integer():  # optuna has no logarithm with steps
            return IntDistribution(parameter.low, parameter.last, step=parameter.step)
        case Choice():
            return CategoricalDistribution(range(len(parameter.values)))


def _of_sampler(parameter: Parameter, found: Any) -> Value:
    return parameter.values[found] if isinstance(parameter, Choice) else found  # type: ignore[no-any-return]
