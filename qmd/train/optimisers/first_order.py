"""First-order optimisation of a `Problem` with optax: Adam in batches, L-BFGS on all frames."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from qmd.train.jax_engine import JaxEngine
from qmd.train.problem import OptimiserProgress, Problem, Report
from qmd.typing import Array


@runtime_checkable
class JaxLosses(Protocol):
    """Engine whose losses JAX differentiates."""

    def sum_of_losses(self, theta: Any, batch: tuple[Any, ...]) -> Any:
        """Return half the sum of squared residuals of `batch`, a JAX scalar."""


class Batched(Protocol):
    """Problems that can be fitted in batches: `Problem` and `qmd.train.cells.CellProblem`."""

    n_frames: int
    engine: Any
    trainable_mask: Array | None
    """1 for each parameter that a fit may change, 0 for the others; None: it may change all."""

    @property
    def frames(self) -> tuple[Any, ...]:
        """Arrays of all frames, from which batches are drawn."""

    def loss_and_slope(self, theta: Array, batch: tuple[Array, ...]) -> tuple[float, Array]:
        """Return half the sum of squared residuals of `batch`, and its gradient."""


def adam(
    problem: Batched,
    begin: OptimiserProgress,
    report: Report,
    *,
    steps: int,
    batch: int | None,
    learning_rate: float,
    final_fraction: float,
    weight_decay: float,
    ema: float,
    report_every: int,
    seed: int,
) -> None:
    """Minimise with Adam [1]_, or AdamW [2]_, and a cosine decay of the learning rate.

    Parameters
    ----------
    problem : Batched
    begin : OptimiserProgress
        State to resume from; the result is the same as without a stop.
    report : callable
        Called every `report_every` steps.
    batch : int, optional
        Number of frames in a step, drawn without replacement; default: all.
    weight_decay : float
        Weight decay of AdamW.
    ema : float
        Decay of the moving average that is reported; with 0 the parameters are reported.
    seed : int
        Seed of the draws.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, arXiv:1412.6980.
    .. [2] I. Loshchilov, F. Hutter, arXiv:1711.05101.
    """
    schedule = optax.cosine_decay_schedule(learning_rate, steps, final_fraction)
    optimiser = optax.adamw(schedule, weight_decay=weight_decay)
    if problem.trainable_mask is not None:
        optimiser = _masked(optimiser, problem.trainable_mask)
    if ema:
        optimiser = _averaged(optimiser, ema)
    size = min(batch or problem.n_frames, problem.n_frames)

    def draw(block: int, n: int) -> Array:
        rng = np.random.default_rng((seed, block))
        if size == problem.n_frames:
            return np.tile(np.arange(size), (n, 1))
        epochs = -(-n * size // problem.n_frames)
        order = np.concatenate([rng.permutation(problem.n_frames) for _ in range(epochs)])
        return order[: n * size].reshape(n, size)

    make = _jax_steps if isinstance(problem.engine, JaxLosses) else _native_steps
    run = make(problem, optimiser)
    _in_blocks(optimiser, begin, report, steps, report_every, lambda c, b, n: run(c, draw(b, n)))


def _masked(optimiser: Any, mask: Array) -> Any:
    """Return the optimiser, which leaves the parameters as they are where `mask` is 0."""

    def update(slope: Any, state: Any, theta: Any) -> Any:
        updates, state = optimiser.update(slope, state, theta)
        return updates * mask, state

    return optax.GradientTransformation(optimiser.init, update)


class _Averaged(NamedTuple):
    """State of an optimiser, with the moving average of the parameters."""

    state: Any
    average: Any
    weight: Any
    """Weight of all steps in the average; the rest is the weight of its initial zeros."""


def _averaged(optimiser: Any, decay: float) -> Any:
    """Return the optimiser with a moving average of the parameters after each step."""

    def init(theta: Any) -> _Averaged:
        return _Averaged(optimiser.init(theta), jnp.zeros_like(theta), jnp.zeros(()))

    def update(slope: Any, state: _Averaged, theta: Any) -> Any:
        updates, inner = optimiser.update(slope, state.state, theta)
        new = (1 - decay) * optax.apply_updates(theta, updates)
        weight = decay * state.weight + 1 - decay
        return updates, _Averaged(inner, decay * state.average + new, weight)

    return optax.GradientTransformation(init, update)


def _scored(theta: Any, state: Any) -> Array:
    """Return the moving average if there is one, else the parameters."""
    if isinstance(state, _Averaged):
        theta = state.average / state.weight
    return np.asarray(theta)


Steps = Callable[[Any, Array], Any]
"""Function of (theta and state, frames of each step): (theta and state, losses)."""


def _jax_steps(problem: Batched, optimiser: Any) -> Steps:
    assert isinstance(problem.engine, JaxLosses)
    sum_of_losses = problem.engine.sum_of_losses
    frames = tuple(map(jnp.asarray, problem.frames))

    def step(carry: Any, index: Any) -> Any:
        theta, state = carry
        chosen = tuple(part[index] for part in frames)
        loss, slope = jax.value_and_grad(sum_of_losses)(theta, chosen)
        updates, state = optimiser.update(slope / len(index), state, theta)
        return (optax.apply_updates(theta, updates), state), loss / len(index)

    return jax.jit(lambda carry, indices: jax.lax.scan(step, carry, indices))


def _native_steps(problem: Batched, optimiser: Any) -> Steps:
    frames = problem.frames

    @jax.jit
    def update(carry: Any, slope: Any) -> Any:
        theta, state = carry
        updates, state = optimiser.update(slope, state, theta)
        return optax.apply_updates(theta, updates), state

    def run(carry: Any, indices: Array) -> Any:
        losses = []
        for index in indices:
            loss, slope = problem.loss_and_slope(
                np.asarray(carry[0]), tuple(part[index] for part in frames)
            )
            carry = update(carry, slope / len(index))
            losses.append(loss / len(index))
        return carry, losses

    return run


def lbfgs(
    problem: Problem,
    begin: OptimiserProgress,
    report: Report,
    *,
    steps: int,
    memory: int,
    report_every: int,
) -> None:
    """Minimise with L-BFGS and a zoom line search on all frames; for the arguments see `adam`."""
    assert isinstance(problem.engine, JaxEngine)
    sum_of_losses = problem.engine.sum_of_losses
    optimiser = optax.lbfgs(memory_size=memory)
    chunks = tuple(map(jnp.asarray, problem.chunks))

    def value(theta: Any) -> Any:
        # Recomputed in the backward pass, which needs the memory of one chunk only.
        chunk_loss = jax.checkpoint(lambda chunk: sum_of_losses(theta, chunk))
        return jnp.sum(jax.lax.map(chunk_loss, chunks)) / problem.n_frames

    value_and_slope = optax.value_and_grad_from_state(value)

    def step(carry: Any, _: Any) -> Any:
        theta, state = carry
        loss, slope = value_and_slope(theta, state=state)
        updates, state = optimiser.update(
            slope, state, theta, value=loss, grad=slope, value_fn=value
        )
        return (optax.apply_updates(theta, updates), state), loss

    block = jax.jit(lambda carry, n: jax.lax.scan(step, carry, None, length=n), static_argnums=1)
    _in_blocks(optimiser, begin, report, steps, report_every, lambda c, b, n: block(c, n))


Block = Callable[[Any, int, int], Any]
"""Function of (theta and state, number of the block, steps): (theta and state, losses)."""


def _in_blocks(
    optimiser: Any, begin: OptimiserProgress, report: Report, steps: int, every: int, block: Block
) -> None:
    """Run `steps` in blocks of `every`, with a report after each."""
    # optax mixes integer counters with floats, and scalars with arrays.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theta = jnp.asarray(begin.theta)
        state = _restored(optimiser.init(theta), begin.memory)
        done, carry = begin.iteration, (theta, state)
        while done < steps:
            n = min(every, steps - done)
            carry, losses = block(carry, done // every, n)
            done += n
            memory = tuple(np.asarray(leaf) for leaf in jax.tree.leaves(carry[1]))
            theta, state = carry
            report(
                OptimiserProgress(
                    done, float(losses[-1]), np.asarray(theta), memory, _scored(theta, state)
                )
            )


def _restored(state: Any, memory: tuple[Array, ...]) -> Any:
    """Return the state of an optimiser with the arrays in `memory`, if there are any."""
    if not memory:
        return state
    leaves: list[Any]
    leaves, tree = jax.tree.flatten(state)
    pairs = zip(memory, leaves, strict=True)
    return jax.tree.unflatten(tree, [jnp.asarray(m, leaf.dtype) for m, leaf in pairs])
