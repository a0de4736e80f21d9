"""The mutants of `tests/mutation.py`: one wrong text each, and the tests that must notice it."""

from collections.abc import Sequence
from typing import NamedTuple


class Mutant(NamedTuple):
    """A change that makes qmd wrong.

    Parameters
    ----------
    group : str
        Room of the program.
    name : str
        What is wrong, in a few words.
    file : str
        From the root of the checkout.
    old, new : str
        Text that the file has once, and what takes its place.
    tests : tuple of str
        Node ids of the tests that cover it, the cheapest first.
    """

    group: str
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


UNITS = "tests/system/test_units.py"
SYSTEM = "tests/system/test_system.py"
THERMOMETER = "tests/system/test_thermometer.py"
WORDS = "tests/run/test_from_words.py::test_the_trajectory_is_the_one_that_the_words_say"
IDENTITY = "tests/run/test_identity.py"
RESTART = "tests/run/test_restart.py"
GUARDS = "tests/run/test_guards.py"
LANGEVIN = "tests/integrators/methods/test_langevin.py"
NOISY = "tests/integrators/methods/test_noisy_langevin.py"
RESCALING = "tests/integrators/methods/test_velocity_rescaling.py"
CHAIN = "tests/integrators/methods/test_nose_hoover_chain.py"
BAROSTAT = "tests/integrators/methods/test_cell_rescaling.py"
LISTS = "tests/integrators/neighbours/test_neighbours.py"
TRUNCATED = "tests/potentials/classical/test_truncated.py"
VERLET = "tests/integrators/methods/test_verlet.py"
NOISE = "tests/integrators/test_noise.py"
LIMITS = "tests/integrators/test_limits.py"
REPLICAS = "tests/integrators/test_replicas.py"
MOLECULAR = "tests/potentials/classical/test_molecular.py"
EWALD = "tests/potentials/classical/test_ewald.py"
TREE = "tests/potentials/tree/test_tree.py"
INTERPRETERS = "tests/potentials/circuit/test_interpreters.py"
NETWORK = "tests/potentials/network/test_atom_centred.py"
VQLM = "tests/potentials/vqlm/test_vqlm.py"
POLYNOMIAL = "tests/potentials/polynomial/test_polynomial.py"
SHOTS = "tests/potentials/shots/test_shots.py"
PACKAGE = "tests/potentials/package/test_package.py"
PROBLEM = "tests/train/test_problem.py"
SPLIT = "tests/train/test_data.py"
NATIVE = "tests/train/test_native_engine.py"
MARQUARDT = "tests/train/optimisers/test_levenberg_marquardt.py"
GAUSS_NEWTON = "tests/train/optimisers/test_gauss_newton.py"
FRAME_ERRORS = "tests/train/test_frame_errors.py"
EVALUATION = "tests/audit/test_evaluation.py"
ANALYSIS = "tests/analysis/test_analysis.py"
OF_ENSEMBLES = "tests/analysis/test_ensemble.py"
COMPARE = "tests/analysis/test_compare.py"
SHADOW = "tests/analysis/test_shadow.py"
TEXT = "tests/io/test_text.py"
ATOMIC = "tests/io/test_atomic.py"
CHECKPOINT = "tests/io/test_checkpoint.py"
TRAJECTORY = "tests/io/test_trajectory.py"
NETCDF = "tests/io/test_netcdf.py"
BLOCKS = "tests/io/test_blocks.py"
YAML = "tests/config/test_strict_yaml.py"
STOP = "tests/jobs/test_stop.py"
IPI = "tests/interop/test_ipi_client.py"
DATASETS = "tests/data/test_datasets.py"
IMAGES = f"{LIMITS}::test_distances_in_oblique_cells_are_those_of_all_images"
ACROSS = f"{LIMITS}::test_atoms_that_meet_across_a_face_warn_first_and_then_stop"
ELEMENTS = "tests/potentials/package/test_elements.py"
LEAST = f"{ELEMENTS}::test_what_images_must_keep_are_the_least_distances_of_their_elements"
BOUNDS = "tests/train/test_bounds.py::test_each_two_elements_have_the_least_distance_of_all_frames"

# fmt: off
_UNITS = [
    ("kB x 1.0001", "qmd/units.py", "1.38064852e-23", "1.38078658e-23", UNITS),
    ("kB x 1.01", "qmd/units.py", "1.38064852e-23", "1.39445500e-23", UNITS),
    ("charge of 6 digits", "qmd/units.py", "1.6021766208e-19", "1.60218e-19", UNITS),
    ("mass unit of 6 digits", "qmd/units.py", "1.660539040e-27", "1.66054e-27", UNITS),
    ("femtosecond x 1.001", "qmd/units.py", "fs = 1e-5 *", "fs = 1.001e-5 *", UNITS),
    ("calorie of the steam tables", "qmd/units.py",
     "kcal_per_mol = 4184 /", "kcal_per_mol = 4186.8 /", UNITS),
    ("bohr of 8 digits", "qmd/units.py", "0.5291772105638411", "0.52917721", UNITS),
    ("hartree of 6 digits", "qmd/units.py", "27.211386024367243", "27.2114", UNITS),
    ("hartree of PySCF of 6 digits", "qmd/units.py", "27.211386245988", "27.2114", UNITS),
    ("bohr of PySCF of 6 digits", "qmd/units.py", "0.529177210903", "0.529177", UNITS),
    ("Coulomb's constant of 6 digits", "potentials/constants.py", "14.399645478", "14.3996",
     UNITS),
    ("Faraday's constant of 5 digits", "potentials/constants.py", "96485.33212", "96485", UNITS),
    ("speed of light of 3 digits", "qmd/analysis/spectrum.py", "0.0299792458", "0.03", UNITS),
    ("deuterium of 2 amu", "qmd/system/isotopes.py", "2.01410177812", "2.0",
     "tests/io/test_stated.py::test_deuterium_and_tritium_have_their_masses"),
    ("forces of MDAnalysis in kcal", "qmd/io/trajectory.py",
     '"forces": units.kcal_per_mol', '"forces": units.kJ_per_mol',
     f"{TRAJECTORY}::test_mdanalysis_reads_the_frames_in_its_units"),
    ("virial of i-PI not in hartree", "qmd/interop/ipi_client.py",
     "virial.T / units.Ha", "virial.T",
     f"{IPI}::test_a_server_gets_energy_forces_and_virial_in_atomic_units"),
    ("bohr of data sets is an angstrom", "qmd/data/datasets.py",
     '"bohr": units.bohr', '"bohr": 1.0', f"{DATASETS}::test_stated_units_are_converted"),
]

_RUN = [
    ("images stop a run that is to warn", "qmd/run/setup.py",
     "        least[..., 1] = 0.0\n", "", f"{GUARDS}::test_the_limits_are_those_of_the_words"),
    ("list of the alarm shorter than its distances", "qmd/run/setup.py",
     "max(float(limits.least.max()), LEAST_REACH_A)", "LEAST_REACH_A",
     "tests/run/test_cells.py::test_waters_that_meet_across_a_face_are_beyond_the_domain"),
    ("friction x 3", "qmd/run/setup.py",
     "c.friction_per_ps / units.ps", "3 * c.friction_per_ps / units.ps", WORDS),
    ("kT of the bath x 1.005", "qmd/run/setup.py",
     "float(temperature * units.kB)", "float(1.005 * temperature * units.kB)", WORDS),
    ("time step x 1.002", "qmd/run/setup.py",
     "    return float(config.timestep_fs * units.fs)",
     "    return float(1.002 * config.timestep_fs * units.fs)", WORDS),
    ("time axis x 1.002", "qmd/run/setup.py",
     "float(self.config.integrator.timestep_fs * units.fs)",
     "float(1.002 * self.config.integrator.timestep_fs * units.fs)", WORDS),
    ("start velocities from the stream of the bath", "qmd/run/velocities.py",
     "gaussian(normals, stream, 0, VELOCITIES)", "gaussian(normals, stream, 0)", WORDS),
    ("replica forgotten", "qmd/run/setup.py",
     "Stream(config.seed, config.replica)", "Stream(config.seed)", WORDS),
    ("seed forgotten", "qmd/run/setup.py",
     "Stream(config.seed, config.replica)", "Stream(1, config.replica)", WORDS),
    ("total energy without the kinetic one", "qmd/io/snapshot.py",
     "return self.batch.energies + self.kinetic_energies", "return self.batch.energies", WORDS),
    ("identity without masses and velocities", "qmd/run/setup.py",
     "(system.numbers, system.masses, system.positions, system.velocities, ",
     "(system.numbers, system.positions, ", IDENTITY),
    ("identity without the cell", "qmd/run/setup.py",
     "cell = system.cell if system.is_periodic else None", "cell = None", IDENTITY),
    ("pressure of the log without the motion", "qmd/run/reporters.py",
     "(2 * now.kinetic_energies + traces)", "traces",
     "tests/run/test_cells.py::test_rows_and_frames_of_a_run_in_a_cell_are_right"),
    ("identity without the settings", "qmd/run/setup.py",
     "hashlib.sha256(settings.encode())", "hashlib.sha256()", IDENTITY),
    ("identity without all guards", "qmd/run/config.py",
     '"threads", "guards.on_failure")', '"threads", "guards")', IDENTITY),
    ("seed may change on resume", "qmd/run/config.py",
     '"threads", "guards.on_failure")', '"threads", "guards.on_failure", "seed")',
     f"{RESTART}::test_a_run_does_not_go_on_with_another_input"),
    ("potential trained anew goes unnoticed", "qmd/run/session.py",
     "if saved.model_sha256 != setup.potential.sha256:", "if False:",
     f"{RESTART}::test_a_run_does_not_go_on_with_a_potential_trained_anew"),
    ("centre of mass without masses", "qmd/system/velocities.py",
     "velocities -= (masses * velocities).sum(axis=0) / masses.sum()",
     "velocities -= velocities.mean(axis=0)",
     f"{SYSTEM}::test_thermal_velocities_have_the_exact_covariance_at_zero_momentum"),
    ("start velocities without the root of the mass", "qmd/system/velocities.py",
     "np.sqrt(temperature_K * units.kB / masses) * normals",
     "np.sqrt(temperature_K * units.kB / masses.mean()) * normals",
     f"{SYSTEM}::test_thermal_velocities_have_the_exact_covariance_at_zero_momentum"),
    ("three degrees of freedom too many", "qmd/system/velocities.py",
     "return 3 * n_atoms - 3 - n_rotations", "return 3 * n_atoms - n_rotations",
     f"{SYSTEM}::test_degrees_of_freedom_of_small_molecules"),
    ("thermometer counts the drift", "qmd/system/thermometer.py",
     "kinetic = kinetic - (momenta**2)", "kinetic = kinetic - 0 * (momenta**2)", THERMOMETER),
    ("thermometer x 1.01", "qmd/system/thermometer.py",
     "return 2 / (self.dof * units.kB)", "return 2.02 / (self.dof * units.kB)", WORDS),
    ("rotation takes no degree of freedom", "qmd/system/thermometer.py",
     "turns = n_rotations(system) if still and", "turns = 0 if still and", THERMOMETER),
    ("force guard x 10", "qmd/run/setup.py",
     "max_force=guards.max_force_eV_per_A,", "max_force=10 * guards.max_force_eV_per_A,",
     f"{GUARDS}::test_the_limits_are_those_of_the_words"),
    ("displacement guard x 10", "qmd/run/setup.py",
     "max_displacement=guards.max_displacement_A_per_step,",
     "max_displacement=10 * guards.max_displacement_A_per_step,",
     f"{GUARDS}::test_the_limits_are_those_of_the_words"),
    ("domain only warns", "qmd/run/setup.py",
     'guards.on_leaving_domain == "warn"', "True",
     f"{GUARDS}::test_a_pulled_out_atom_stops_the_run_at_the_stop_level"),
    ("slope of the start not compared", "qmd/run/start.py",
     "    _check_slope(setup, state)\n", "",
     f"{GUARDS}::test_forces_that_are_not_the_gradient_are_refused_before_anything_is_written"),
    ("explosion limit x 100", "qmd/run/simulation.py",
     "10 * float(wanted) + 2000", "1000 * float(wanted) + 200_000",
     f"{GUARDS}::test_heating_without_an_energy_to_pay_for_it_is_an_explosion"),
    ("one state too few before a failure", "qmd/run/simulation.py",
     "LAST_STATES = 20", "LAST_STATES = 19",
     f"{GUARDS}::test_the_last_20_states_before_a_failure_are_kept"),
    ("no margin before the wall time", "qmd/jobs/stop.py",
     "now - self._begin >= self._wall_time - margin", "now - self._begin >= self._wall_time", STOP),
    ("margin of one checkpoint", "qmd/jobs/stop.py",
     "max(MARGIN_S, 3 * checkpoint_s)", "max(MARGIN_S, checkpoint_s)", STOP),
    ("every step is reported", "qmd/run/simulation.py",
     "if snapshot.step % reporter.every == 0:", "if True:",
     "tests/run/test_simulation.py::test_rows_and_frames_stand_at_multiples_of_their_cadence"),
    ("replicas share a stream", "qmd/run/start.py",
     "streams = [setup.stream._replace(replica=replica) for replica in replicas]",
     "streams = [setup.stream for replica in replicas]",
     "tests/run/test_replicas.py::test_each_replica_leaves_the_trajectory_of_a_run_alone"),
]

_INTEGRATORS = [
    ("drift of Verlet x 1.001", "integrators/methods/verlet.py",
     "drift(x, v, dt)  # A", "drift(x, v, 1.001 * dt)  # A",
     f"{VERLET}::test_ase_and_plain_numpy_give_the_same_trajectory"),
    ("second kick of Verlet before the force", "integrators/methods/verlet.py",
     "    energy = compute(force, x, state.cell, f)\n    kick(v, f, inv_masses, dt / 2)  # B\n",
     "    kick(v, f, inv_masses, dt / 2)  # B\n    energy = compute(force, x, state.cell, f)\n",
     
     f"{VERLET}::test_ase_and_plain_numpy_give_the_same_trajectory"),
    ("second kick of Langevin before the force", "integrators/methods/langevin.py",
     "    energy = compute(force, x, state.cell, f)\n    kick(v, f, inv_masses, dt / 2)  # B\n",
     "    kick(v, f, inv_masses, dt / 2)  # B\n    energy = compute(force, x, state.cell, f)\n",
     
     f"{LANGEVIN}::test_the_stationary_covariance_is_the_exact_one_of_baoab"),
    ("splitting A B O B A", "integrators/methods/langevin.py",
     """    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt / 2)  # A
    ou(v, noise, inv_masses, friction, kT, dt)  # O
    drift(x, v, dt / 2)  # A
""", """    ou(v, noise, inv_masses, friction, kT, dt)  # O
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt)  # A
""",
     f"{LANGEVIN}::test_the_stationary_covariance_is_the_exact_one_of_baoab"),
    ("noise x 1.01", "integrators/kernels.py",
     "spread = math.sqrt(variance * inv_masses[i])",
     "spread = 1.01 * math.sqrt(variance * inv_masses[i])",
     f"{LANGEVIN}::test_the_stationary_covariance_is_the_exact_one_of_baoab"),
    ("O by Euler's rule", "integrators/kernels.py",
     "return math.exp(-friction * dt),", "return 1.0 - friction * dt,",
     f"{LANGEVIN}::test_the_stationary_covariance_is_the_exact_one_of_baoab"),
    ("variance of the noise to first order", "integrators/kernels.py",
     "variance = -math.expm1(-2.0 * friction * dt) * kT", "variance = 2.0 * friction * dt * kT",
     
     f"{LANGEVIN}::test_the_stationary_covariance_is_the_exact_one_of_baoab"),
    ("force on one atom x 1.001", "integrators/kernels.py",
     "velocities[i, k] += dt * inv_masses[i] * forces[i, k]",
     "velocities[i, k] += dt * inv_masses[i] * forces[i, k] * (1.001 if i == 0 else 1.0)",
     
     f"{VERLET}::test_ase_and_plain_numpy_give_the_same_trajectory"),
    ("kinetic energy in single precision", "integrators/kernels.py",
     "total += 0.5 * masses[i]", "total = np.float32(total)\n            total += 0.5 * masses[i]",
     f"{REPLICAS}::test_kinetic_energies_are_summed_in_double_precision"),
    ("the same noise in each step", "integrators/methods/langevin.py",
     "gaussian(noise, stream, now)", "gaussian(noise, stream, 0)", WORDS),
    ("noise of the next step", "integrators/methods/langevin.py",
     "gaussian(noise, stream, now)", "gaussian(noise, stream, now + 1)", WORDS),
    ("Philox with another key schedule", "integrators/noise.py", "0x9E3779B9", "0x9E3779B8",
     f"{NOISE}::test_philox_reproduces_its_published_vectors"),
    ("Philox of 7 rounds", "integrators/noise.py", "for _ in range(10):", "for _ in range(7):",
     f"{NOISE}::test_philox_reproduces_its_published_vectors"),
    ("purpose left out of the counter", "integrators/noise.py",
     "(np.uint64(purpose) & _PURPOSE)", "(np.uint64(0) & _PURPOSE)",
     f"{NOISE}::test_the_layout_of_the_counter_is_the_documented_one"),
    ("high half of the step left out", "integrators/noise.py",
     "((count >> _HALF) & _STEP_HIGH)", "(_LOW & ~_LOW)",
     f"{NOISE}::test_the_layout_of_the_counter_is_the_documented_one"),
    ("energy that is NaN passes", "integrators/limits.py",
     "if not (abs(energy) < np.inf and ", "if abs(energy) == np.inf or not (", LIMITS),
    ("force that is beyond its limit passes", "integrators/limits.py",
     "<= largest):", "<= 4.0 * largest):", LIMITS),
    ("limit that is NaN passes", "integrators/limits.py",
     "if not (_square_distance(positions, i, previous, i) <= farthest):",
     "if _square_distance(positions, i, previous, i) > farthest:", LIMITS),
    ("only the upper distance stops", "integrators/limits.py",
     "stopped |= not (limits.stop[p, 0] <= distance <= limits.stop[p, 1])",
     "stopped |= not (distance <= limits.stop[p, 1])", LIMITS),
    ("least distance compared with its square", "integrators/neighbours/alarm.py",
     "if not square >= low * low:", "if not square >= low:", IMAGES),
    ("images are watched without their shift", "integrators/neighbours/alarm.py",
     "            square = x * x + y * y + z * z\n",
     "            x = positions[j, 0] - positions[i, 0]\n"
     "            y = positions[j, 1] - positions[i, 1]\n"
     "            z = positions[j, 2] - positions[i, 2]\n"
     "            square = x * x + y * y + z * z\n", IMAGES, ACROSS),
    ("one atom is of both kinds", "integrators/neighbours/alarm.py",
     "low, lowest = least[kinds[i], kinds[j], 0], least[kinds[i], kinds[j], 1]",
     "low, lowest = least[kinds[i], kinds[i], 0], least[kinds[i], kinds[i], 1]", IMAGES),
    ("nearest image by fractions alone", "integrators/neighbours/alarm.py",
     "for u in range(a - reach_a, a + reach_a + 1):", "for u in range(a, a + 1):", IMAGES),
    ("images are watched at every second step", "integrators/methods/base.py",
     """            status, outside = check_images(
                status, outside, state.positions, state.cell, limits, force.alarm
            )
""", """            if now % 2 == 0:
                status, outside = check_images(
                    status, outside, state.positions, state.cell, limits, force.alarm
                )
""", ACROSS),
    ("alarm without an answer lets pass", "integrators/limits.py",
     "        return Status.NOT_FINITE, warned\n    if found == alarm.STOPPED",
     "        return status, warned\n    if found == alarm.STOPPED",
     LIMITS, "tests/integrators/neighbours/test_growth.py"),
    ("noisy forces: bath not compensated by c", "integrators/methods/noisy_langevin.py",
     "0.25 * (1.0 + decay) ** 2 * dt * dt", "dt * dt",
     f"{NOISY}::test_the_stationary_variance_of_the_positions_is_the_one_in_the_docstring"),
    ("noisy forces: noise of the step before", "integrators/methods/noisy_langevin.py",
     "add_noise(f, matrix, root, noise, stream, now + 1)",
     "add_noise(f, matrix, root, noise, stream, now)",
     f"{NOISY}::test_a_step_is_that_of_the_docstring"),
    ("noisy forces: shots from the stream of the bath", "integrators/methods/noisy_langevin.py",
     "gaussian(noise, stream, step, SHOTS)", "gaussian(noise, stream, step)",
     f"{NOISY}::test_a_step_is_that_of_the_docstring"),
    ("threads share scratch", "integrators/methods/noisy_langevin.py",
     "return replace(self, covariance=self.covariance.for_thread())", "return self",
     f"{REPLICAS}::test_each_thread_has_a_workspace_of_its_own"),
    ("sums of squares of another shape", "integrators/noise.py",
     "d = 0.5 * n - 1.0 / 3.0", "d = 0.5 * n - 0.33",
     f"{NOISE}::test_sums_of_squares_are_those_of_the_documented_trials"),
    ("barostat draws from the stream of the thermostat", "integrators/noise.py",
     "BAROSTAT = 3", "BAROSTAT = 0", f"{NOISE}::test_the_purposes_are_numbers_of_their_own"),
    ("spread of velocity rescaling x 1.01", "integrators/methods/velocity_rescaling.py",
     "spread = math.sqrt((1.0 - decay) * kT / twice)",
     "spread = 1.01 * math.sqrt((1.0 - decay) * kT / twice)",
     f"{RESCALING}::test_a_step_scales_by_the_factor_of_the_paper"),
    ("velocity rescaling never turns", "integrators/methods/velocity_rescaling.py",
     "spread * spread * squares), along)", "spread * spread * squares), 1.0)",
     f"{RESCALING}::test_one_degree_of_freedom_is_an_ornstein_uhlenbeck_process"),
    ("heat of velocity rescaling with the wrong sign",
     "integrators/methods/velocity_rescaling.py",
     "state.bath[HEAT] -= rescale(", "state.bath[HEAT] += rescale(",
     f"{RESCALING}::test_the_conserved_energy_is_kept_to_second_order"),
    ("chain of one degree of freedom", "integrators/methods/nose_hoover_chain.py",
     "push = (twice - dof * kT) / (dof * mass)", "push = (twice - kT) / (dof * mass)",
     f"{CHAIN}::test_it_solves_the_equations_to_second_order"),
    ("work of a ramp on a chain left out", "integrators/methods/nose_hoover_chain.py",
     "state.bath[WORK] -= turned *", "state.bath[WORK] -= 0.0 * turned *",
     f"{CHAIN}::test_the_conserved_energy_is_kept_to_second_order"),
    ("barostat without the kT of the volume", "integrators/methods/cell_rescaling.py",
     "(trace / 3.0 + 0.5 * kT)", "(trace / 3.0)",
     f"{BAROSTAT}::test_an_ideal_gas_has_its_distribution_of_volumes"),
    ("noise of the volume x 1.1", "integrators/methods/cell_rescaling.py",
     "spread = math.sqrt(1.5 * kT", "spread = 1.1 * math.sqrt(1.5 * kT",
     f"{BAROSTAT}::test_the_conserved_energy_is_kept_to_first_order"),
    ("barostat with the virial of the wrong sign", "integrators/methods/cell_rescaling.py",
     "out[i, i] = kinetic[i, i] + bath", "out[i, i] = kinetic[i, i] - bath",
     f"{BAROSTAT}::test_a_stiff_cell_has_the_volumes_of_its_energy"),
    ("barostat twice as fast as its noise", "integrators/methods/cell_rescaling.py",
     "return 1.5 * mobility * dt", "return 3.0 * mobility * dt",
     f"{BAROSTAT}::test_an_ideal_gas_has_its_distribution_of_volumes"),
    ("noise of the shape x 1.1", "integrators/methods/cell_rescaling.py",
     "shape_spread = math.sqrt(2.0", "shape_spread = 1.1 * math.sqrt(2.0",
     f"{BAROSTAT}::test_the_conserved_energy_is_kept_to_first_order"),
    ("momenta grow with the cell", "integrators/methods/cell_rescaling.py",
     "parameters.grow, parameters.shrink)  # S", "parameters.grow, parameters.grow)  # S",
     f"{BAROSTAT}::test_the_conserved_energy_is_kept_to_first_order"),
    ("conserved energy without the work of the pressure", "integrators/methods/cell_rescaling.py",
     "kinetic + self.pressure * volumes", "kinetic + 0.0 * volumes",
     f"{BAROSTAT}::test_the_conserved_energy_is_kept_to_first_order"),
    ("heat of the barostat left out", "integrators/methods/cell_rescaling.py",
     "bath[HEAT] += 0.5 * kT", "bath[HEAT] += 0.0 * kT",
     f"{BAROSTAT}::test_the_conserved_energy_is_kept_to_first_order"),
    ("images shifted along the wrong vector", "integrators/neighbours/build.py",
     "v * cell[1, k] + w * cell[2, k]", "v * cell[1, k] + w * cell[1, k]",
     f"{LISTS}::test_pairs_are_those_of_brute_force"),
    ("ramp one step ahead", "integrators/ramp.py", "(step / ramp.steps)",
     "((step + 1) / ramp.steps)",
     "tests/integrators/test_fixed_and_drifting.py"
     "::test_a_ramp_is_the_constant_bath_of_each_of_its_steps"),
    ("drift taken away one step late", "integrators/methods/driftless.py",
     "if (now + 1) % parameters.every == 0:", "if now % parameters.every == 0:",
     "tests/integrators/test_fixed_and_drifting.py"
     "::test_a_drift_is_taken_away_where_it_is_due"),
]

_POTENTIALS = [
    ("level of one pair for all of its elements", "potentials/package/domain.py",
     "            np.minimum.at(lows[..., k], (a, b), bounds[:, 0])\n",
     "            lows[a, b, k] = bounds[:, 0]\n", LEAST),
    ("elements of images in another order", "potentials/package/domain.py",
     "return kinds.astype(np.int64), lows", "return kinds[::-1].astype(np.int64), lows", LEAST),
    ("torque x 1.01 where the sine is below 0.5", "potentials/classical/molecular_native.py",
     "torque = w[0] * bend / sine", "torque = w[0] * bend / sine * (1.01 if sine < 0.5 else 1.0)",
     f"{MOLECULAR}::test_the_torque_of_an_angle_has_its_closed_form"),
    ("slope of the damping 2.999", "potentials/classical/native.py",
     "(3.0 * cube * screened", "(2.999 * cube * screened",
     f"{TREE}::test_damped_charges_have_the_force_of_their_energy"),
    ("damping length 0.501", "potentials/classical/water.py", "DAMPING = 0.5", "DAMPING = 0.501",
     f"{TREE}::test_damped_charges_have_the_force_of_their_energy"),
    ("damping of the dispersion 20.1", "potentials/classical/water.py", "R6 = 20.0", "R6 = 20.1",
     f"{TREE}::test_the_baseline_has_its_closed_form"),
    ("slope of the dispersion x 1.001", "potentials/classical/native.py",
     "slope = 6.0 * dispersion", "slope = 6.006 * dispersion",
     f"{TREE}::test_native_equals_jax[baseline]"),
    ("slope of the wall x 0.999", "potentials/classical/native.py",
     "-3.0 * workspace[0] * inside * inside", "-2.997 * workspace[0] * inside * inside",
     f"{TREE}::test_the_wall_has_its_closed_form"),
    ("slope of the sphere x 0.999", "potentials/classical/native.py",
     "-3.0 * workspace[0] * outside * outside", "-2.997 * workspace[0] * outside * outside",
     f"{TREE}::test_the_sphere_has_its_closed_form"),
    ("slope of Lennard-Jones x 1.0001", "potentials/classical/molecular_native.py",
     "-24.0 * depth", "-24.0024 * depth",
     f"{MOLECULAR}::test_forces_are_minus_the_slope_of_the_energy"),
    ("slope of Morse x 1.0001", "potentials/classical/molecular_native.py",
     "2.0 * depth * steepness", "2.0002 * depth * steepness",
     f"{MOLECULAR}::test_forces_are_minus_the_slope_of_the_energy"),
    ("force of charges without a distance", "potentials/classical/molecular_native.py",
     "-one / (r * r)", "-one / r",
     f"{MOLECULAR}::test_forces_are_minus_the_slope_of_the_energy"),
    ("charges of one molecule see each other", "potentials/classical/molecular_native.py",
     "if program[GROUPS + i] != program[GROUPS + j]:", "if i != j:",
     f"{MOLECULAR}::test_native_equals_jax"),
    ("virial of a wave without its width", "potentials/classical/ewald_native.py",
     "energy * (1.0 / square + width)", "energy / square",
     f"{EWALD}::test_forces_and_virial_are_derivatives_of_the_energy"),
    ("waves of a half-space count once", "potentials/classical/ewald_native.py",
     "factor = 4.0 * math.pi", "factor = 2.0 * math.pi",
     f"{EWALD}::test_lattices_have_the_constants_of_madelung[rock salt]"),
    ("charges of one molecule beyond the cut-off keep their waves",
     "potentials/classical/ewald_native.py", "potential = -product * math.erf(splitting * r) / r",
     "potential = -product / r",
     f"{EWALD}::test_a_long_molecule_has_the_forces_of_its_energy_also_in_coarse_sums"),
    ("virial of Lennard-Jones with the wrong sign", "potentials/classical/truncated_native.py",
     "virial[0, 0] -= xx", "virial[0, 0] += xx",
     f"{TRUNCATED}::test_virial_is_the_derivative_by_strain"),
    ("tail correction of the pressure left out", "potentials/classical/truncated_native.py",
     "+= w[TAIL_B] * density", "+= 0.0 * w[TAIL_B] * density",
     f"{TRUNCATED}::test_virial_is_the_derivative_by_strain"),
    ("tail correction 0.5 % off", "potentials/classical/truncated.py",
     "beyond = 8 * math.pi / 3", "beyond = 8.04 * math.pi / 3",
     f"{TRUNCATED}::test_the_tail_is_the_integral_of_what_is_left_out"),
    ("bonds to the atom itself, not to its image", "potentials/classical/images.py",
     "turns = math.floor(along + 0.5)", "turns = 0.0",
     f"{MOLECULAR}::test_a_cell_takes_the_nearest_image"),
    ("switch of the fourth degree", "potentials/tree/switch.py",
     "(10.0 - t * (15.0 - 6.0 * t))", "(10.0 - t * (15.0 - 6.01 * t))",
     f"{TREE}::test_a_switch_has_its_closed_form"),
    ("slope of the switch x 1.001", "potentials/tree/switch.py", "-30.0 * t * t", "-30.03 * t * t",
     f"{TREE}::test_a_switch_has_its_closed_form"),
    ("pull of a switch left out", "potentials/tree/kernel.py",
     "forces[j, axis] -= pull", "forces[j, axis] -= 0.0 * pull",
     f"{TREE}::test_a_switch_has_its_closed_form"),
    ("rotations of the native circuit x 1.0001", "potentials/circuit/lowering.py",
     "[-0.5j * a, 0.5j * a]", "[-0.50005j * a, 0.50005j * a]",
     f"{INTERPRETERS}::test_jax_and_the_native_kernel_agree"),
    ("couplings of the native circuit x 1.0001", "potentials/circuit/lowering.py",
     "np.exp(-1j * couplings", "np.exp(-1.0001j * couplings",
     f"{INTERPRETERS}::test_jax_and_the_native_kernel_agree"),
    ("envelope of densities in one interpreter", "potentials/circuit/radial_kernel.py",
     "(28.0 - t * (48.0 - 21.0 * t))", "(28.0 - t * (48.0 - 21.001 * t))",
     f"{TREE}::test_native_equals_jax[dimer]"),
    ("slope of the envelope x 1.0001", "potentials/circuit/radial_kernel.py",
     "slope = -168.0 * t5", "slope = -168.0168 * t5",
     f"{TREE}::test_native_equals_jax[dimer]"),
    ("Gaussians 0.1 % too wide", "potentials/simd/gaussians.py",
     "(u - nearest) * (u - nearest) / 2.0", "(u - nearest) * (u - nearest) / 2.002",
     "tests/potentials/simd/test_gaussians.py"),
    ("observables of the network x 1.0001", "potentials/network/kernel.py",
     "value = 0.5 * w[values", "value = 0.50005 * w[values",
     f"{NETWORK}::test_the_native_kernel_is_jax"),
    ("offset of an element left out", "potentials/network/kernel.py",
     "w[four] += w[program[OFFSETS] + kind]", "w[four] += 0.0 * w[program[OFFSETS] + kind]",
     f"{NETWORK}::test_offsets_of_the_elements_add_up"),
    ("polynomial: dy/dr without the 1", "potentials/polynomial/native.py",
     "(y + 1.0) / w[program[LENGTH]]", "y / w[program[LENGTH]]",
     f"{POLYNOMIAL}::test_forces_are_the_slope"),
    ("generic circuit: half angles", "potentials/vqlm/jax_energy.py",
     "signs(model.n_qubits).T / 2", "signs(model.n_qubits).T / 2.0002",
     f"{VQLM}::test_the_native_kernel_agrees_with_jax"),
    ("generic circuit: ranges not mirrored", "potentials/vqlm/jax_energy.py",
     "jnp.where(x <= 1, x, 2 - x)", "jnp.where(x <= 1, x, x - 2)",
     f"{VQLM}::test_the_native_kernel_agrees_with_jax"),
    ("shots: variances halved", "potentials/shots/kernel.py",
     "(both * both + change * change) / 2.0", "(both * both + change * change) / 1.0",
     f"{SHOTS}::test_the_covariance_is_that_of_the_circuits_of_the_parameter_shift"),
    ("shots: noise does not fall with their number", "potentials/shots/covariance.py",
     "np.array([1 / shots])", "np.array([1 / shots**0.5])",
     f"{SHOTS}::test_noise_falls_with_the_shots_and_moves_no_centre_of_mass"),
    ("shots: factor of a term not squared", "potentials/shots/kernel.py",
     "_add_square(covariance, column, factor * factor,", "_add_square(covariance, column, factor,",
     f"{SHOTS}::test_circuits_of_a_tree_add_their_noise_and_classical_terms_have_none"),
    ("domain need not enclose the data", "potentials/package/domain.py",
     "(np.diff(bounds, axis=0) >= 0).all()", "True",
     f"{PACKAGE}::test_domains_that_do_not_fit_are_refused"),
]

_TRAINING = [
    ("margin below least distances with the wrong sign", "qmd/train/bounds.py",
     "warn - np.stack([margin, np.zeros_like(margin)], axis=1)",
     "warn + np.stack([margin, np.zeros_like(margin)], axis=1)", BOUNDS),
    ("margin of molecules in cells", "qmd/train/bounds.py",
     "domains.LEAST_MARGIN_IN_CELLS_A", "domains.LEAST_MARGIN_A", BOUNDS),
    ("margin in cells of 0.05 angstrom", "qmd/data/domains.py",
     "LEAST_MARGIN_IN_CELLS_A = 0.15", "LEAST_MARGIN_IN_CELLS_A = 0.05", BOUNDS),
    ("least distances of the last frame", "qmd/train/bounds.py",
     "lows[pair] = min(lows.get(pair, np.inf), float(lengths[both].min()))",
     "lows[pair] = float(lengths[both].min())", BOUNDS),
    ("energy weight squared", "qmd/train/jax_engine.py",
     "[self._loss.energy_weight * energy_part[None]",
     "[self._loss.energy_weight**2 * energy_part[None]",
     f"{PROBLEM}::test_residuals_are_weighted_errors_of_energies_and_internal_forces"),
    ("forces with the wrong sign", "qmd/train/problem.py",
     'slopes = -np.einsum("fkax,fax->fk"', 'slopes = np.einsum("fkax,fax->fk"',
     f"{PROBLEM}::test_residuals_are_weighted_errors_of_energies_and_internal_forces"),
    ("padding frames have weight", "qmd/train/problem.py",
     "np.where(index < n, weights, 0.0)", "weights",
     f"{PROBLEM}::test_chunks_that_are_filled_up_change_nothing"),
    ("damping with the wrong sign", "qmd/train/optimisers/levenberg_marquardt.py",
     "np.diag(damping * np.sqrt(", "np.diag(-damping * np.sqrt(",
     MARQUARDT),
    ("fit goes on with the first damping", "qmd/train/optimisers/levenberg_marquardt.py",
     "    if begin.memory:\n        damping, growth = begin.memory[0].tolist()\n", "",
     MARQUARDT),
    ("average of parameters begins at zero", "qmd/train/optimisers/first_order.py",
     "theta = state.average / state.weight", "theta = state.average",
     f"{PROBLEM}::test_adam_keeps_an_average_and_decays_weights"),
    ("batches of a resumed fit begin again", "qmd/train/optimisers/first_order.py",
     "block(carry, done // every, n)", "block(carry, 0, n)",
     "tests/train/optimisers/test_first_order.py"),
    ("damping of Gauss-Newton not scaled", "qmd/train/optimisers/gauss_newton.py",
     "settings.damping * np.trace(overlap) / len(overlap)", "settings.damping",
     f"{GAUSS_NEWTON}::test_a_step_without_momentum_is_that_of_damped_least_squares"),
    ("frames of an epoch drawn twice", "qmd/train/optimisers/gauss_newton.py",
     "order[step % per_epoch * size :]", "order[step % per_epoch * size // 2 :]",
     f"{GAUSS_NEWTON}::test_all_frames_are_drawn_once_in_an_epoch"),
    ("derivatives of the native engine x 2", "qmd/train/native_engine.py",
     "rows[:, 1 : 1 + k] /= 2 * STEP", "rows[:, 1 : 1 + k] /= STEP",
     f"{NATIVE}::test_residuals_agree_with_jax_and_have_these_derivatives"),
    ("test frames are training frames", "qmd/train/data.py",
     "train, validation, test, _ = np.split(order, [*ends, n][:3])",
     "train, validation, test = order[:ends[0]], order[ends[0]:ends[1]], order[:n - ends[1]]",
     SPLIT),
    ("even split repeats frames", "qmd/train/data.py",
     "order[~np.isin(order, spaced)]", "order", SPLIT),
    ("no noise on forces", "qmd/train/data.py",
     "config.forces_std_eV_per_A * rng", "0 * rng",
     SPLIT),
    ("worst frames are the best", "qmd/train/frame_errors.py",
     "np.argsort(-each", "np.argsort(each", FRAME_ERRORS),
    ("90 % are 80 %", "qmd/train/frame_errors.py",
     "PERCENTILES = 50, 90, 99", "PERCENTILES = 50, 80, 99", FRAME_ERRORS),
    ("evaluation without the reference energy", "qmd/audit/evaluation.py",
     "energies + _zero(package, fit_offset) - labels.energies", "energies - labels.energies",
     f"{EVALUATION}::test_errors_are_those_put_in"),
    ("root instead of mean square", "qmd/audit/evaluation.py",
     "float(np.mean(residuals**2))", "float(np.mean(residuals**2)) ** 0.5",
     f"{EVALUATION}::test_errors_are_those_put_in"),
]

_ANALYSIS = [
    ("correction for the time step 5 % off", "qmd/analysis/temperature.py",
     "(4 * units.kB", "(4.2 * units.kB",
     f"{ANALYSIS}::test_the_correction_for_the_time_step_is_that_of_a_harmonic_well"),
    ("correction added", "qmd/analysis/temperature.py", "bath - too_cold", "bath + too_cold",
     f"{ANALYSIS}::test_the_correction_for_the_time_step_is_that_of_a_harmonic_well"),
    ("shadow energy with dt^2 / 13", "qmd/analysis/shadow.py", "curvature / 12", "curvature / 13",
     SHADOW),
    ("shadow energy with half of its forces", "qmd/analysis/shadow.py",
     "squares / 24", "squares / 48", SHADOW),
    ("drift in kT/ps", "qmd/analysis/conservation.py", "1000 * slope / thermal", "slope / thermal",
     f"{ANALYSIS}::test_drift_of_a_straight_line_with_noise"),
    ("drift of the molecule", "qmd/analysis/conservation.py", "per_atom = 1000 / run.n_atoms",
     "per_atom = 1000", f"{ANALYSIS}::test_drift_of_a_straight_line_with_noise"),
    ("error of the drift halved", "qmd/analysis/conservation.py",
     "np.std(quarters, ddof=1) / 8", "np.std(quarters, ddof=1) / 16",
     f"{ANALYSIS}::test_drift_of_a_straight_line_with_noise"),
    ("inefficiency without the factor 2", "qmd/analysis/statistics.py",
     "float(1 + 2 * np.sum(", "float(1 + np.sum(",
     f"{ANALYSIS}::test_statistical_inefficiency_of_an_autoregressive_series"),
    ("autocorrelation biased", "qmd/analysis/statistics.py",
     "np.asarray(products / counts)", "np.asarray(products / n)",
     f"{ANALYSIS}::test_autocorrelation_is_the_sum_over_all_starts"),
    ("error of all samples", "qmd/analysis/statistics.py",
     "used.std(ddof=1) / np.sqrt(independent)", "used.std(ddof=1) / np.sqrt(len(used))",
     f"{ANALYSIS}::test_statistical_inefficiency_of_an_autoregressive_series"),
    ("diffusion in two dimensions", "qmd/analysis/diffusion.py", "slope / 6", "slope / 4",
     f"{ANALYSIS}::test_a_free_molecule_in_a_bath_diffuses_as_einstein_says"),
    ("spectrum without masses", "qmd/analysis/spectrum.py",
     "    weighted = run.velocities * np.sqrt(run.masses)[:, None]\n    starts",
     "    weighted = run.velocities\n    starts",
     f"{ANALYSIS}::test_each_mode_has_its_share_of_the_kinetic_energy_in_a_spectrum"),
    ("velocity autocorrelation without masses", "qmd/analysis/spectrum.py",
     "    weighted = run.velocities * np.sqrt(run.masses)[:, None]\n    parts",
     "    weighted = run.velocities\n    parts",
     f"{ANALYSIS}::test_each_mode_has_its_share_of_the_kinetic_energy_in_a_spectrum"),
    ("angles in radians", "qmd/analysis/internal.py",
     "np.degrees(calc_angles(flat[0], centre, flat[1]))", "calc_angles(flat[0], centre, flat[1])",
     f"{ANALYSIS}::test_bonds_and_angles_are_those_of_ase"),
    ("hydrogen bonds of 90 degrees", "qmd/analysis/condensed/hydrogen_bonds.py",
     "DISTANCE_A, ANGLE_DEG = 3.5, 150.0", "DISTANCE_A, ANGLE_DEG = 3.5, 90.0",
     f"{ANALYSIS}::test_a_hydrogen_bond_has_3_5_angstrom_and_150_degrees"),
    ("error over members without n - 1", "qmd/analysis/ensemble.py",
     "values.std(ddof=1)", "values.std()",
     f"{OF_ENSEMBLES}::test_the_error_of_a_mean_is_that_of_independent_members"),
]

_IO = [
    ("fsync of log.csv left out", "qmd/io/text.py", "os.fsync(self._fd)", "pass", TEXT),
    ("fsync of a new file left out", "qmd/atomic.py",
     "        os.fsync(fd)\n    finally:\n        os.close(fd)  # network",
     "        pass\n    finally:\n        os.close(fd)  # network", ATOMIC),
    ("fsync of the folder left out", "qmd/atomic.py",
     "        fsync_directory(path.parent)", "        pass", ATOMIC),
    ("checkpoint before not kept", "qmd/io/checkpoint.py",
     "keep_previous=_is_good(old)", "keep_previous=False",
     f"{CHECKPOINT}::test_the_one_before_is_kept"),
    ("damaged checkpoint kept in place of a good one", "qmd/io/checkpoint.py",
     "keep_previous=_is_good(old)", "keep_previous=True",
     f"{CHECKPOINT}::test_a_kill_while_recovering_from_damage_keeps_a_good_one"),
    ("digest of a checkpoint not compared", "qmd/io/checkpoint.py",
     "if hashlib.sha256(payload).digest() != digest:", "if False:",
     f"{CHECKPOINT}::test_every_flipped_bit_is_noticed_and_the_one_before_is_taken"),
    ("state that is not finite is saved", "qmd/io/checkpoint.py",
     "    if not all(np.isfinite(array).all() for array in checkpoint.batch",
     "    if not all(True for array in checkpoint.batch",
     f"{CHECKPOINT}::test_a_state_that_is_not_finite_never_replaces_a_good_one"),
    ("positions of a checkpoint in single precision", "qmd/io/checkpoint.py",
     "arrays[name].astype(layout[name][0]).tobytes()",
     "arrays[name].astype('<f4').astype(layout[name][0]).tobytes()",
     f"{CHECKPOINT}::test_every_bit_comes_back"),
    ("frames counted before they are on the disk", "qmd/io/trajectory.py",
     "                self._flush()\n                os.fsync(self._fd)\n",
     "                self._flush()\n",
     f"{TRAJECTORY}::test_frames_are_on_the_disk_before_the_header_counts_them"),
    ("velocities per femtosecond", "qmd/io/trajectory.py",
     '"velocities": 1 / units.ps', '"velocities": 1 / units.fs',
     f"{TRAJECTORY}::test_mdanalysis_reads_the_frames_in_its_units"),
    ("time of frames in single precision", "qmd/io/trajectory.py",
     '"time": Variable(">f8"', '"time": Variable(">f4"',
     f"{TRAJECTORY}::test_times_never_repeat_and_give_back_the_steps"),
    ("frame that is not finite is written", "qmd/io/trajectory.py",
     "np.abs(vectors).max(initial=0) <= _LIMIT and np.isfinite(scalars).all()", "True",
     f"{TRAJECTORY}::test_a_frame_that_is_not_finite_is_not_written"),
    ("last frame not compared on resume", "qmd/io/trajectory.py",
     "!= last_frame_digest:", "!= last_frame_digest and False:",
     f"{TRAJECTORY}::test_every_flipped_bit_of_header_and_last_frame_is_noticed_on_restart"),
    ("earlier frames not compared on resume", "qmd/io/trajectory.py",
     "if blocks is not None and (parts", "if False and (parts",
     f"{TRAJECTORY}::test_every_flipped_bit_of_an_earlier_frame_is_noticed_and_named"),
    ("frames behind the checkpoint stay", "qmd/io/netcdf.py",
     "            os.ftruncate(fd, header.size(n_frames))\n", "",
     f"{NETCDF}::test_the_library_goes_on_where_a_file_was_cut"),
    ("truncated trajectory is taken", "qmd/io/netcdf.py",
     "if not size >= header.size(header.n_frames):", "if False:",
     f"{NETCDF}::test_a_file_cut_anywhere_is_refused"),
    ("links are followed by the writer of text", "qmd/io/text.py",
     "flags = os.O_WRONLY | os.O_NOFOLLOW", "flags = os.O_WRONLY", TEXT),
    ("leaves that change places pass", "qmd/io/blocks.py",
     'self._n_leaves.to_bytes(8, "little")', 'bytes(8)', BLOCKS),
    ("the second of two keys wins", "qmd/config/strict_yaml.py",
     "            if key in result:", "            if False:", YAML),
    ("nesting without a bound", "qmd/config/strict_yaml.py",
     "if len(path) >= MAX_DEPTH and not", "if False and not", YAML),
    ("anchors are taken", "qmd/config/strict_yaml.py",
     "or event.anchor is not None:", "or False:", YAML),
    ("last structure of 8 digits", "qmd/io/extxyz.py",
     '[f"{value:.17g}" for', '[f"{value:.8g}" for',
     "tests/run/test_simulation.py::test_the_final_structure_is_the_last_state_to_the_last_bit"),
    ("momenta without masses", "qmd/io/extxyz.py",
     "momenta = system.masses[:, None] * state.velocities", "momenta = state.velocities",
     "tests/system/test_isotopes.py::test_heavy_water_has_one_kinetic_energy_everywhere"),
    ("bytes of the log not counted", "qmd/io/text.py",
     "        self._size += len(data)\n", "", TEXT),
]
# fmt: on

_TABLE: dict[str, Sequence[tuple[str, ...]]] = {
    "units": _UNITS,
    "run": _RUN,
    "integrators": _INTEGRATORS,
    "potentials": _POTENTIALS,
    "training": _TRAINING,
    "analysis": _ANALYSIS,
    "io": _IO,
}
MUTANTS = tuple(
    Mutant(group, name, file, old, new, tuple(tests))
    for group, rows in _TABLE.items()
    for name, file, old, new, *tests in rows
)
