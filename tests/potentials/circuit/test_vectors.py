"""Independent test vectors: the three interpreters reproduce <O> and d<O>/dR of other programs.

Those of `shared/data/circuit-vectors`, beside the checkout, were computed by one independent JAX
program and checked with PennyLane to 4e-15. Two of them are typed in below.
"""

import functools
import json
from pathlib import Path
from typing import Any

import circuits
import numpy as np
import pytest

from qmd.potentials import Architecture, Parameters, evaluate, native_kernel, sivqlm

FILE = Path(__file__).parents[4] / "shared" / "data" / "circuit-vectors" / "vectors.json"

# fmt: off
TYPED = [
    {
        "model": "lih",
        "alpha": [0.412097318662113],
        "j": [
            -0.7235562362115436, -0.6613498061772012, -0.4986234138007409,
            0.1998871133617183, -0.4527395276800304, -0.18908127701969485,
            0.6496141488930327, -0.17813198553071297, 0.3687577842335433,
            -0.4668088400049385, -0.10271877893381501, -0.4750110274552906,
            -0.16951653795028124, 0.42015406872869776, -0.8636602115961743,
            0.21721182177292866, 0.11886780116613894, -0.2970749778483972,
            -0.7230289271942273, 0.03606475385693476, -0.2647463545319012,
            0.11633810567735198, 0.01092607276172144, 0.8008894456604577,
            -0.11967781373651214, -0.5117487463109325, 0.08963781747815808,
            0.10999834198588258, 0.6795937876202183, 0.41755562295728926,
            0.17843552957475467, 0.7316514456097809, -0.5943815271614254,
            -0.31987576637487386, -0.46328797070276245, -0.19490490157788398,
            -0.6883430737781544, 0.31757547340720216, -0.11111134854938669,
            -0.7354031472513289, -0.5077895406037708, 0.15675692372509764,
            0.41906328394719056, 0.9983654458458933, 1.4569312330036648, 0.2072047166379982,
            -0.49476906001593207, -1.0660231403656546, 0.1338557311719179,
            -0.406470547655163, -0.20767863008984266, -0.30604839952990404,
            -0.07039544320819263, 0.5329901153938218, 0.07852428372267231,
            -0.07931741851934415, -0.5178268764129058, -0.8373414723521785,
            -0.24315395453666544, -0.026891275409160247, 0.8839649567899415,
            0.06513726073644292, 0.4913697555115288, -0.24964779926957603,
            -0.5924718832085123, -0.48255838111618593,
        ],
        "epsilon": [],
        "positions": [
            0.12862693153848404, 0.4607267975987976, 0.05497033116657184,
            -0.36734070951615005, -0.41044775977369946, 2.095278379669375,
        ],
        "expectation": -0.13470084255153858,
        "gradient": [
            0.31961251468001944, 0.5614041480911954, -1.3148196215325838,
            -0.31961251468001944, -0.5614041480911954, 1.3148196215325838,
        ],
    },
    {
        "model": "h2o",
        "alpha": [0.3953973290856148],
        "j": [
            0.8618328603916485, -0.08975960664130032, -0.19159366056799387,
            0.7307221461211011, -0.553522841021744, -0.4473635094779132, 0.3216633973445222,
            -0.1973025614297948, -0.002560933360035648, -0.08172144926225629,
            0.16878727439946678, 0.7037409306568584, 0.04529245345087277,
            0.32196939663842894, -1.0250860505155113, -0.024359200965058975,
            -0.42161513514643556, -0.609406530211814, -0.4390761834643754,
            -0.16706172035040603, 0.45795127117800655, -0.663196358869782,
            0.015315746297208723, -0.24208471666678924, -0.16383654718098042,
            0.5013789126523021, 0.26905771850196303, 0.6686990537213718,
            -0.07725283962495023, -0.3479713058353515, -0.11192940844024976,
            0.1212483956356108, 0.08828667922685551, -0.5421940361166833,
            0.04524489081393711, 0.11411416506945257, 1.2587370187669602,
            0.9384223056408351, -0.42662167527941003, -0.14369168077458805,
            -0.7317210009185016, -0.29535350698174323, 0.15780250179517025,
            0.6029268104441168, -0.36454191887180426, -0.32707322003389827,
            -1.0736445148693274, -0.08133296027245383, -0.5312072059297815,
            -0.2647197136830369, -0.4384303890837941, -0.047131277126278494,
            -0.8788641956783156, -0.7335226226954953, 1.064623556014149,
            -0.6437112906370155, -0.5483927892273198, 0.918456764160657, 1.4525335846202034,
            -0.5857833144126708, -0.18412447839401527, 0.17077777547025477,
            0.8643488222027962, -0.4934285392141187, -0.12263892297105487, 0.388668788030872,
        ],
        "epsilon": [],
        "positions": [
            0.005315534757786736, 8.439309141418043e-06, -0.07215580335428474,
            0.7886494261673308, 0.577271340158651, 0.2093168308930595, -0.5996645097524758,
            0.6255846552556501, -0.07630572096947676,
        ],
        "expectation": 0.3155982652766082,
        "gradient": [
            -0.5015754979810065, 1.4172302644900332, 0.17539834533426107,
            -0.09040193029279586, -0.38842418530729517, -0.09653063497954972,
            0.5919774282738024, -1.028806079182738, -0.07886771035471134,
        ],
    },
]
# fmt: on

VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text()) if FILE.is_file() else []
NAMES = {
    "lih": sivqlm.lih(),
    "h2o": sivqlm.water(),
    "h2o-sb": sivqlm.water(symmetry_breaking=True),
    "h2o-dimer": sivqlm.water_dimer(),
    "h2o-dimer-sb": sivqlm.water_dimer(symmetry_breaking=True),
}
every_vector = pytest.mark.parametrize(
    "vector",
    [pytest.param(v, id=f"typed-{v['model']}") for v in TYPED]
    + [pytest.param(v, id=f"{i}-{v['model']}") for i, v in enumerate(VECTORS)],
)


def model(vector: dict[str, Any]) -> tuple[Architecture, Parameters, np.ndarray]:
    """A vector as architecture, parameters and positions; its energy is <O>."""
    architecture = NAMES[vector["model"]]
    couplings = np.array(vector["j"]).reshape(architecture.circuit.n_layers, -1)
    if vector["model"].endswith("-sb"):
        couplings = np.column_stack([couplings, vector["epsilon"]])
    parameters = Parameters(np.array([vector["alpha"]]), couplings, np.ones(1), np.zeros(()))
    return architecture, parameters, np.array(vector["positions"]).reshape(-1, 3)


@functools.cache
def energy_and_gradient(name: str) -> Any:
    """JAX, gate by gate: the couplings are arguments, so that one program serves all vectors."""
    import jax

    from qmd.potentials import vqc

    def energy(positions, parameters):
        return vqc.energy(NAMES[name], parameters, positions)

    example = next(v for v in TYPED + VECTORS if v["model"] == name)
    _, parameters, positions = model(example)
    return circuits.quickly_compiled(jax.value_and_grad(energy), positions, parameters)


def check(vector: dict[str, Any], energy: float, forces: np.ndarray) -> None:
    # Rounding of up to 210 gates is 1e-14; a wrong gate shows in the first digit.
    assert abs(energy - vector["expectation"]) < 1e-12
    gradient = np.array(vector["gradient"]).reshape(-1, 3)
    np.testing.assert_allclose(-forces, gradient, rtol=0, atol=1e-10)


def test_the_independent_vectors_are_there():
    if not VECTORS:
        pytest.skip(f"only the two typed vectors are tested: there is no {FILE}")
    assert {v["model"] for v in VECTORS} == set(NAMES)
    for typed in TYPED:
        assert typed["expectation"] in [v["expectation"] for v in VECTORS]


@every_vector
def test_the_native_kernel_reproduces_the_vectors(vector):
    architecture, parameters, positions = model(vector)
    check(vector, *evaluate(native_kernel(architecture, parameters), positions))


@every_vector
def test_jax_reproduces_the_vectors(vector):
    _, parameters, positions = model(vector)
    energy, gradient = energy_and_gradient(vector["model"])(positions, parameters)
    check(vector, float(energy), -np.asarray(gradient))


@every_vector
def test_pennylane_reproduces_the_expectation_values(vector):
    energy = circuits.pennylane_energy(circuits.Model(*model(vector)[:2]), model(vector)[2])
    assert abs(energy - vector["expectation"]) < 1e-12


def test_pennylane_reproduces_a_gradient():
    # Five-point differences of its energies, which are 50 times faster here than its gradients.
    architecture, parameters, positions = model(TYPED[1])
    model_ = circuits.Model(architecture, parameters)

    def energy(shift: float, index: tuple[int, int]) -> float:
        moved = positions.copy()
        moved[index] += shift
        return circuits.pennylane_energy(model_, moved)

    # Rounding 1e-15 / h and truncation h^4/30 times a fifth derivative of 1e5: both 1e-11.
    h, gradient = 2e-4, np.empty_like(positions)
    for index in np.ndindex(positions.shape):
        near, far = (energy(n * h, index) - energy(-n * h, index) for n in (1, 2))
        gradient[index] = (8 * near - far) / (12 * h)
    check(TYPED[1], energy(0.0, (0, 0)), -gradient)
