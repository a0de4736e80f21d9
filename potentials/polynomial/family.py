"""Family of invariant polynomials."""

from ..family import Family, deferred
from ..json_values import Field, fields, integer, lists, numbers
from .polynomial import InvariantPolynomial, PolynomialParameters

FAMILIES = (
    Family(
        kind="invariant_polynomial",
        leaf=InvariantPolynomial,
        json=fields(
            Field("like", "like", lists),
            Field("degree", "degree", integer),
            Field("centres_A", "centres", numbers),
        ),
        parameters=PolynomialParameters,
        describe=lambda leaf: f"invariant polynomial of degree {leaf.degree}",
        jax_energy=deferred(__package__, "jax_energy.polynomial_energy"),
        native=deferred(__package__, "native.native_kernel"),
        trained_on="jax",
    ),
)
