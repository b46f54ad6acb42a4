import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from channels.links.abstraction import AbstractLink
from channels.links.digital import DigitalLink, Payload
from channels.propagation import ray_tracing
from channels.propagation.factory import build_channel_model
from channels.propagation.ray_tracing import RayTraced, RayTracingError, paths_file, stored_paths
from channels.spec import ChannelSpec, ClassSpec, LinkSpec, OfdmSpec, RayTracingSpec

# The default scene and places, two receive antennas, solved by Sionna RT 2.2; the slow test below repeats it
STORED = RayTracingSpec(paths_folder=Path(__file__).parent / "data")
CANYON = ChannelSpec(model="rt", num_rx_antennas=2, ray_tracing=STORED)
GROUND_Z = -0.0308  # of the scene's mesh
WAVELENGTH = 299_792_458 / 3.5e9
TX, RX = np.array(STORED.tx_position_m), np.array(STORED.rx_position_m)


@pytest.fixture
def no_solver(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("the path solver ran")

    monkeypatch.setattr(subprocess, "run", fail)


def assert_line_of_sight_and_ground_reflection(paths):
    image = TX * (1, 1, -1) + (0, 0, 2 * GROUND_Z)
    distance, bounced = np.linalg.norm(TX - RX), np.linalg.norm(image - RX)
    direct, ground = paths.delays_s.argmin(), paths.arrival[:, 2].argmin()
    # Friis, and images below the ground
    assert abs(paths.gains[0, 0, direct]) == pytest.approx(WAVELENGTH / (4 * np.pi * distance), rel=1e-3)
    np.testing.assert_allclose(paths.arrival[direct], (TX - RX) / distance, atol=1e-4)
    assert paths.delays_s[ground] == pytest.approx((bounced - distance) / 299_792_458, rel=1e-3)
    assert abs(paths.gains[0, 0, ground]) < abs(paths.gains[0, 0, direct])


def test_stored_paths_are_those_of_geometry(no_solver):
    assert_line_of_sight_and_ground_reflection(stored_paths(CANYON))


def test_mean_power_is_one_and_a_seed_is_a_realisation(no_solver):
    model = RayTraced(CANYON)
    gains, delays = model.impulse_responses(range(1000), 1, 1.0)
    # Paths keep their powers; what is random is how they add up
    torch.testing.assert_close(gains.abs().square().sum(3).mean((1, 2, 3)), torch.ones(1000))
    flat = gains.sum(3).abs().square().mean((1, 2, 3))
    assert abs(float(flat.mean()) - 1) < 4 * float(flat.std()) / 1000**0.5
    assert float(flat.std()) > 0.3
    alone, _ = model.impulse_responses([17], 1, 1.0)
    assert torch.equal(alone[0], gains[17])
    assert float(model.statistics().powers.sum()) == pytest.approx(1)
    assert delays.shape == (1, gains.shape[3])


def test_doppler_is_the_projection_of_the_speed_on_each_path(no_solver):
    spec = CANYON.model_copy(update={"speed_kmh": 90.0})
    gains, _ = RayTraced(spec).impulse_responses(range(400), 2, 1e-4)
    shift = (gains[..., 1] * gains[..., 0].conj()).angle()[:, 0, 0] / (2 * np.pi * 1e-4)
    horizontal = np.linalg.norm(stored_paths(spec).arrival[:, :2], axis=1)
    # A uniform heading: mean zero, mean square half the largest shift's
    largest = 25 / WAVELENGTH * horizontal
    assert (shift.abs().numpy() <= largest * 1.001).all()
    np.testing.assert_allclose(shift.square().mean(0), largest**2 / 2, rtol=0.1)


def test_links_run_over_it(no_solver):
    spec = LinkSpec(channel=CANYON, ofdm=OfdmSpec(csi="lmmse"), classes={"base": ClassSpec(mcs=4)})
    bursts = [[Payload(bytes(100), "base")] * 4] * 8
    exact, abstract = (link.send(bursts, 12.0, range(8)) for link in (DigitalLink(spec), AbstractLink(spec)))
    assert sum(d.classes["base"].lost for d in exact) <= 4
    sinr = np.array([[d.classes["base"].effective_sinr_db for d in run] for run in (exact, abstract)])
    assert np.corrcoef(sinr)[0, 1] > 0.95


def test_the_file_depends_on_what_the_solver_is_asked_and_on_nothing_else():
    scene = {"scene": "munich"}
    for other in (
        {"carrier_frequency_hz": 28e9},
        {"num_tx_antennas": 2},
        {"ray_tracing": STORED.model_copy(update=scene)},
        {"ray_tracing": STORED.model_copy(update={"rx_position_m": (20.0, 2.0, 1.6)})},
    ):
        assert paths_file(CANYON.model_copy(update=other)).name != paths_file(CANYON).name
    assert paths_file(CANYON.model_copy(update={"speed_kmh": 100.0})) == paths_file(CANYON)


def test_solved_once(monkeypatch, tmp_path):
    calls = []

    def solver(command, **kwargs):
        calls.append(command)
        Path(command[-1]).write_bytes(paths_file(CANYON).read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", solver)
    monkeypatch.setattr(ray_tracing, "find_spec", lambda name: True)
    monkeypatch.setenv("SEMCOM_CACHE", str(tmp_path))
    spec = ChannelSpec(model="rt", num_rx_antennas=2)
    first, again = stored_paths(spec), stored_paths(spec)
    assert len(calls) == 1
    assert np.array_equal(first.gains, again.gains)
    assert [path.suffix for path in (tmp_path / "ray_tracing").iterdir()] == [".npz"]


def test_without_the_extra_the_error_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(ray_tracing, "find_spec", lambda name: None)
    spec = ChannelSpec(model="rt", ray_tracing=RayTracingSpec(paths_folder=tmp_path))
    with pytest.raises(RayTracingError, match=r"pip install 'semcom\[rt\]'"):
        build_channel_model(spec)


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("LLVM ERROR: Cannot select: fmaximum\n", "apt install libllvm19"),
        (
            "Traceback\nValueError: Properties of ITU material 'brick' are not defined\n",
            "'brick' are not defined",
        ),
    ],
)
def test_the_solvers_failure_is_one_message(monkeypatch, tmp_path, stderr, message):
    def solver(command, **kwargs):
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", solver)
    monkeypatch.setattr(ray_tracing, "find_spec", lambda name: True)
    spec = ChannelSpec(model="rt", ray_tracing=RayTracingSpec(paths_folder=tmp_path))
    with pytest.raises(RayTracingError, match=message):
        stored_paths(spec)
    assert not list(tmp_path.iterdir())


def test_no_path_is_an_error_naming_the_places(tmp_path):
    spec = ChannelSpec(model="rt", ray_tracing=RayTracingSpec(paths_folder=tmp_path))
    empty = {"gains": np.zeros((1, 1, 0)), "delays_s": np.zeros(0), "arrival": np.zeros((0, 3))}
    np.savez(paths_file(spec), **empty)
    with pytest.raises(RayTracingError, match=r"no path leads from tx_position_m \(-33.0, 0.0, 10.0\)"):
        RayTraced(spec)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mitsuba") is None, reason="the extra [rt] is not installed")
def test_the_path_solver_itself(tmp_path):
    solved = RayTracingSpec(paths_folder=tmp_path)
    try:
        paths = stored_paths(CANYON.model_copy(update={"ray_tracing": solved}))
    except RayTracingError as error:
        if "LLVM" in str(error):
            pytest.skip(str(error))
        raise
    assert_line_of_sight_and_ground_reflection(paths)
    order, stored = np.argsort(paths.delays_s), stored_paths(CANYON)
    np.testing.assert_allclose(paths.delays_s[order], np.sort(stored.delays_s), atol=1e-12)
