"""Finite shots in a run: from the input to the integrator, and whether its bath can take them."""

import math

from qmd import units
from qmd.errors import InputError, MismatchError
from qmd.integrators import AbstractIntegrator
from qmd.potentials import Model, shot_covariance
from qmd.run.config import ShotNoiseConfig
from qmd.typing import Array

MARGIN = 1.25
"""Power that an advice leaves to the bath, over the power of the noise."""


def on_shots(
    integrator: AbstractIntegrator, noise: ShotNoiseConfig, model: Model | None
) -> AbstractIntegrator:
    """Return the integrator for forces that have the noise of the circuits of `model`.

    Raises
    ------
    InputError
        If the method cannot take up noise.
    MismatchError
        If the model has no circuit, one whose shots are not modelled, or no native kernel.
    """
    if model is None:
        raise MismatchError(
            "noise is that of circuits on the native kernel; this potential has a part "
            "that is a function, or set to JAX",
            hint="remove `noise`",
        )
    try:
        covariance = shot_covariance(model, noise.shots)
    except ValueError as error:
        raise MismatchError(str(error), hint="remove `noise`") from None
    try:
        noisy = integrator.on_noisy_forces(covariance, noise.compensate)
    except ValueError as error:
        raise InputError(str(error), hint="give `temperature_K` as a number") from None
    if noisy is None:
        raise InputError(
            "noise needs a bath that takes out the energy which noise adds in every step, and "
            "this `integrator` has none",
            hint="use `langevin_baoab`, whose friction does",
        )
    return noisy


def check_share(
    integrator: AbstractIntegrator, noise: ShotNoiseConfig, positions: Array, masses: Array
) -> None:
    """Raise InputError if the noise at `positions` is more than the bath can make up for."""
    if noise.compensate and not integrator.share(positions, 1 / masses) <= 1:
        cause, advice = excess(integrator, noise, positions, masses)
        raise InputError(f"At the start {cause}", advice)


def excess(
    integrator: AbstractIntegrator, noise: ShotNoiseConfig, positions: Array, masses: Array
) -> tuple[str, str]:
    """Describe the excess, and the shots or the friction that leave the bath a `MARGIN`."""
    share = integrator.share(positions, 1 / masses)
    kT, damping, dt = integrator.target_kT, integrator.damping, integrator.dt
    assert kT is not None and damping is not None  # of the methods that take up noise
    cause = (
        f"the noise of {noise.shots} shots has {share:.3g} times the power of a bath of "
        f"{kT / units.kB:g} K with a friction of {damping * units.ps:g}/ps"
    )
    wanted = MARGIN * share
    advice = f"set `noise.shots` to {_rounded(wanted * noise.shots)}"
    # The power grows as tanh(friction dt / 2): from one half on more friction hardly helps.
    slope = wanted * math.tanh(damping * dt / 2)
    if slope < 0.5:
        friction = 2 / dt * math.atanh(slope) * units.ps
        advice += f", or `friction_per_ps` to {_rounded(friction)}"
    return cause, f"{advice}: {MARGIN} times what is needed here, for the noise changes on the way"


def _rounded(value: float) -> int:
    """Up, to two digits."""
    step = int(10 ** max(0, math.floor(math.log10(value)) - 1))
    return math.ceil(value / step) * step
