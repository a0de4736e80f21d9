"""Finite shots in a run: from the input to the integrator, and whether its bath can take them."""

import math

import numpy as np

from qmd import units
from qmd.errors import InputError, MismatchError
from qmd.integrators import Force, NoisyLangevinBAOAB
from qmd.potentials import Model, shot_covariance
from qmd.run.config import LangevinConfig, ShotNoiseConfig

MARGIN = 1.25
"""How many times the power of the noise an advice leaves to the bath."""


def noisy_langevin(
    bath: LangevinConfig, noise: ShotNoiseConfig, model: Model
) -> NoisyLangevinBAOAB:
    """The integrator of the input, with the covariance of the forces of `model`.

    Raises
    ------
    MismatchError
        If the model has no circuit, or one whose shots are not modelled.
    """
    try:
        covariance = Force(*shot_covariance(model, noise.shots))
    except ValueError as error:
        raise MismatchError(str(error), hint="remove `noise`") from None
    return NoisyLangevinBAOAB(
        dt=bath.timestep_fs * units.fs,
        kT=bath.temperature_K * units.kB,
        friction=bath.friction_per_ps / units.ps,
        covariance=covariance,
        compensate=noise.compensate,
    )


def check_share(
    method: NoisyLangevinBAOAB, noise: ShotNoiseConfig, positions: np.ndarray, masses: np.ndarray
) -> None:
    """Raise InputError if the noise at `positions` is more than the bath can make up for."""
    if noise.compensate and not method.share(positions, 1 / masses) <= 1:
        cause, advice = excess(method, noise, positions, masses)
        raise InputError(f"At the start {cause}", advice)


def excess(
    method: NoisyLangevinBAOAB, noise: ShotNoiseConfig, positions: np.ndarray, masses: np.ndarray
) -> tuple[str, str]:
    """What is too much, and the shots or the friction that leave the bath a `MARGIN`."""
    share = method.share(positions, 1 / masses)
    cause = (
        f"the noise of {noise.shots} shots has {share:.3g} times the power of a bath of "
        f"{method.kT / units.kB:g} K with a friction of {method.friction * units.ps:g}/ps"
    )
    wanted = MARGIN * share
    advice = f"set `noise.shots` to {_rounded(wanted * noise.shots)}"
    # The power grows as tanh(friction dt / 2): from one half on more friction hardly helps.
    slope = wanted * math.tanh(method.friction * method.dt / 2)
    if slope < 0.5:
        friction = 2 / method.dt * math.atanh(slope) * units.ps
        advice += f", or `friction_per_ps` to {_rounded(friction)}"
    return cause, f"{advice}: {MARGIN} times what is needed here, for the noise changes on the way"


def _rounded(value: float) -> int:
    """Up, to two digits."""
    step = int(10 ** max(0, math.floor(math.log10(value)) - 1))
    return math.ceil(value / step) * step
