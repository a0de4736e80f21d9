"""Parameters of a point: values in an input, and coordinates in [-1, 1] for a search."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from qmd.typing import Array

Value = str | int | float | bool | None
Values = tuple[Value, ...]
"""Values of all parameters, in the order of the space."""


@dataclass(frozen=True)
class Real:
    """Real number between two bounds, included; equal steps are equal factors if `log`."""

    low: float
    high: float
    log: bool = False

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return 1

    @property
    def count(self) -> float:
        """Number of values."""
        return math.inf

    def decode(self, x: Array) -> float:
        """Return the value at coordinates (1,) in [-1, 1]."""
        return _clipped(_value(float(x[0]), self.low, self.high, self.log), self.low, self.high)

    def encode(self, value: Value) -> Array:
        """Return the coordinates of a value."""
        return np.array([_coordinate(_number(value), self.low, self.high, self.log)])


@dataclass(frozen=True)
class Integer:
    """Whole number ``low, low + step, ...`` up to `high`; a coordinate means the nearest one."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return 1

    @property
    def count(self) -> float:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    @property
    def last(self) -> int:
        """Largest value that the steps reach."""
        return self.high - (self.high - self.low) % self.step

    def decode(self, x: Array) -> int:
        """Return the value at coordinates (1,) in [-1, 1], by rounding."""
        value = _value(float(x[0]), self.low, self.last, self.log)
        steps = math.floor((value - self.low) / self.step + 0.5)
        return min(max(self.low + steps * self.step, self.low), self.last)

    def encode(self, value: Value) -> Array:
        """Return the coordinates of a value."""
        return np.array([_coordinate(_number(value), self.low, self.last, self.log)])


@dataclass(frozen=True)
class Choice:
    """One of several values without order: corners of a regular simplex, all equally far apart.

    One coordinate for each value would not do: their sum is constant, so that the linear tail of
    an interpolant would not be unique.
    """

    values: Values

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.values) - 1

    @property
    def count(self) -> float:
        """Number of values."""
        return len(self.values)

    @cached_property
    def corners(self) -> Array:
        """Coordinates of the values, (n, n - 1), in [-1, 1]."""
        n = len(self.values)
        # Corners of the simplex of unit vectors, less their mean, in a basis of their plane.
        centred = np.eye(n) - 1 / n
        basis = np.linalg.qr(centred[:, :-1])[0]
        corners = centred @ basis
        return np.asarray(corners / np.abs(corners).max())

    def decode(self, x: Array) -> Value:
        """Return the value whose corner is the nearest."""
        return self.values[int(np.argmin(((self.corners - x) ** 2).sum(axis=1)))]

    def encode(self, value: Value) -> Array:
        """Return the coordinates of a value."""
        return np.array(self.corners[self.index(value)])

    def index(self, value: Value) -> int:
        """Return the place of a value; 1, 1.0 and true are three values."""
        for k, known in enumerate(self.values):
            if type(known) is type(value) and known == value:
                return k
        raise ValueError(f"{value!r} is none of {self.values}")


Parameter = Real | Integer | Choice


@dataclass(frozen=True)
class Space:
    """Several parameters, and their coordinates one after the other."""

    parameters: tuple[Parameter, ...]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return sum(parameter.size for parameter in self.parameters)

    @property
    def count(self) -> float:
        """Number of points; infinite if a parameter is real."""
        return math.prod(parameter.count for parameter in self.parameters)

    def decode(self, x: Array) -> Values:
        """Return the values at coordinates (size,) in [-1, 1]."""
        ends = np.cumsum([0, *(parameter.size for parameter in self.parameters)])
        parts = zip(self.parameters, pairwise(ends), strict=True)
        return tuple(parameter.decode(x[a:b]) for parameter, (a, b) in parts)

    def encode(self, values: Sequence[Value]) -> Array:
        """Return the coordinates (size,) of values."""
        parts = zip(self.parameters, values, strict=True)
        return np.concatenate([parameter.encode(value) for parameter, value in parts])

    def rounded(self, x: Array) -> Array:
        """Return the coordinates of the point that is evaluated in the place of `x`."""
        return self.encode(self.decode(x))


def _value(x: float, low: float, high: float, log: bool) -> float:
    part = (min(max(x, -1.0), 1.0) + 1) / 2
    if log:
        return math.exp(math.log(low) + part * (math.log(high) - math.log(low)))
    return low + part * (high - low)


def _coordinate(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return _clipped(2 * (value - low) / (high - low) - 1 if high > low else 0.0, -1.0, 1.0)


def _clipped(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _number(value: Value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value
