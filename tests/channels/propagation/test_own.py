"""Channels of one's own: what a program adds, and what a file holds."""

import json
import math

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from channels.describe import describe
from channels.links.abstraction import AbstractLink
from channels.links.analog import AnalogLink
from channels.links.digital import DigitalLink, Payload
from channels.ofdm.front_end import OfdmFrontEnd
from channels.propagation import registry
from channels.propagation.base import Statistics
from channels.propagation.dataset import CirDataset, read
from channels.propagation.factory import build_channel_model
from channels.propagation.ray_tracing import paths_file
from channels.spec import ChannelSpec, ClassSpec, DatasetSpec, LinkSpec, OfdmSpec, RayTracingSpec


class OnePath:
    """A model of one path."""

    reads = ("options",)

    def __init__(self, spec):
        self.shape = (spec.num_rx_antennas, spec.num_tx_antennas, 1, 1)
        self.gain = spec.options.get("gain", 1.0)

    def impulse_responses(self, seeds, num_steps, step_s):
        gains = [
            self.gain
            * torch.randn(self.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(s))
            for s in seeds
        ]
        return torch.stack(gains).expand(-1, -1, -1, -1, num_steps), torch.zeros(1, 1)

    def statistics(self):
        return Statistics(torch.zeros(1), torch.ones(1), 0.0)


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    monkeypatch.setattr(registry, "_added", {})


def spec_of(**channel):
    return LinkSpec(channel=ChannelSpec(**channel), classes={"base": ClassSpec(mcs=4)})


def test_an_object_with_two_methods_is_a_channel_on_all_three_links():
    registry.add("one-path", OnePath)
    spec = spec_of(model="one-path", options={"gain": 1.0})
    burst = [[Payload(b"x" * 40, "base")]]
    assert DigitalLink(spec).send(burst, 40.0, [1])[0].payloads == (b"x" * 40,)
    assert AbstractLink(spec).send(burst, 40.0, [1])[0].payloads == (b"x" * 40,)
    sent = torch.randn(64, generator=torch.Generator().manual_seed(0))
    assert AnalogLink(spec).send([sent], 40.0, [1])[0].mean_square_error < 0.01
    words = describe(spec)
    assert "one-path: A model of one path." in words and "options gain 1.0" in words
    assert "one-path" in registry.names()


def test_a_model_without_transmit_correlation_has_it_measured():
    registry.add("one-path", OnePath)
    model = build_channel_model(ChannelSpec(model="one-path", num_tx_antennas=4))
    assert torch.allclose(model.transmit_correlation(), torch.eye(4, dtype=torch.complex128), atol=0.15)
    OfdmFrontEnd(ChannelSpec(model="one-path", num_tx_antennas=4), OfdmSpec())


def test_a_model_handed_over_as_an_object_is_used_as_it_is():
    registry.add("mine", OnePath(ChannelSpec()))
    assert build_channel_model(ChannelSpec(model="mine")).statistics().max_doppler_hz == 0.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gain": 3.0}, "the mean power of an antenna pair is .*, not one: divide the gains by"),
        ({"gain": math.nan}, "gains must be finite"),
    ],
)
def test_gains_that_would_falsify_the_snr_are_refused(change, reason):
    registry.add("one-path", OnePath)
    with pytest.raises(ValueError, match=f"channel model 'one-path': {reason}"):
        build_channel_model(ChannelSpec(model="one-path", options=change))


def test_a_model_whose_realisations_depend_on_each_other_is_refused():
    class Batched(OnePath):
        def impulse_responses(self, seeds, num_steps, step_s):
            shape = (len(seeds), *self.shape[:-1], num_steps)
            generator = torch.Generator().manual_seed(seeds[0])
            return torch.randn(shape, dtype=torch.complex64, generator=generator), torch.zeros(1, 1)

    registry.add("batched", Batched)
    with pytest.raises(ValueError, match="a function of its seed alone"):
        build_channel_model(ChannelSpec(model="batched"))


def test_what_is_no_model_is_named():
    with pytest.raises(ValueError, match=r"must be an Entry .* not int"):
        registry.add("wrong", 3)
    with pytest.raises(ValueError, match="'awgn' is built in"):
        registry.add("awgn", OnePath)
    with pytest.raises(ValueError, match="os:system' would import and run code"):
        ChannelSpec(model="os:system")


def test_an_edited_model_is_built_anew():
    registry.add("one-path", OnePath)
    spec = ChannelSpec(model="one-path")
    first = build_channel_model(spec)
    assert build_channel_model(spec) is first
    registry.add("one-path", type("Other", (OnePath,), {"__doc__": "Another."}))
    assert build_channel_model(spec) is not first


def write(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, value in arrays.items():
                file[name] = value
    return ChannelSpec(model="cir", dataset=DatasetSpec(file=path))


@pytest.mark.parametrize("name", ["measured.npz", "measured.h5"])
def test_responses_of_a_file_come_back_at_its_frequencies(tmp_path, name):
    """Two records of frequency responses of known paths: up to phase and timing, a burst sees one of them."""
    frequencies = np.linspace(-5e6, 5e6, 401)
    h = np.stack([1 + 0.5 * np.exp(-2j * np.pi * frequencies * late) for late in (300e-9, 1e-6)])
    h /= np.sqrt(np.square(np.abs(h)).mean())
    spec = write(tmp_path / name, h=h[:, None, None], frequencies_hz=3.5e9 + frequencies)
    front_end = OfdmFrontEnd(spec, OfdmSpec(num_subcarriers=48, subcarrier_spacing_khz=15, csi="perfect"))
    wanted = np.arange(-24, 24) * 15e3
    seen = set()
    for seed in range(8):
        found = front_end.channel(seed, 1)[0, 0, 0, 0].numpy()
        for record, late in enumerate((300e-9, 1e-6)):
            true = 1 + 0.5 * np.exp(-2j * np.pi * wanted * late)
            ratio = found / true
            # What is left is a phase linear in frequency
            step = ratio[1:] / ratio[:-1]
            if np.abs(step - step.mean()).max() < 0.02:
                seen.add(record)
                assert np.allclose(np.abs(ratio), np.abs(ratio).mean(), rtol=0.02)
    assert seen == {0, 1}


def test_a_grid_wider_than_the_measurement_is_refused(tmp_path):
    frequencies = np.arange(64) * 15e3
    spec = write(tmp_path / "narrow.npz", h=np.ones((1, 1, 1, 64)), frequencies_hz=frequencies)
    with pytest.raises(ValueError, match=r"8\.64 MHz wide, and the channel was measured over 0\.96 MHz"):
        OfdmFrontEnd(spec, OfdmSpec())


def test_the_doppler_of_records_is_that_of_their_correlation(tmp_path):
    """Gains with the correlation of Jakes' spectrum of 50 Hz, a sum of sinusoids of random angles."""
    random = np.random.default_rng(0)
    step_s, doppler_hz, instants = 1e-3, 50.0, 12
    angles, phases = random.uniform(0, 2 * np.pi, (2, 400, 64))
    time_s = step_s * np.arange(instants)
    a = np.exp(1j * (2 * np.pi * doppler_hz * np.cos(angles)[..., None] * time_s + phases[..., None])).sum(1)
    spec = write(tmp_path / "jakes.npz", a=a[:, None, None, None], tau=np.zeros((400, 1)), step_s=step_s)
    model = CirDataset(spec)
    assert model.statistics().max_doppler_hz == pytest.approx(doppler_hz, rel=0.03)
    still = CirDataset(
        spec.model_copy(update={"dataset": DatasetSpec(file=spec.dataset.file, motion="static")})
    )
    assert still.statistics().max_doppler_hz == 0.0
    gains, _ = still.impulse_responses([3], 5, 0.1)
    assert torch.equal(gains[..., 0], gains[..., 4])


def test_a_burst_that_outlasts_its_record_goes_back_the_way_it_came(tmp_path):
    a = np.exp(0.2j * np.arange(5)) * np.arange(1, 6)
    spec = write(tmp_path / "short.npz", a=a[None, None, None], tau=np.zeros(1), step_s=1e-3)
    gains, _ = CirDataset(spec).impulse_responses([7], 17, 1e-3)
    levels = gains.abs().flatten()
    assert torch.allclose(levels[0], levels[8], rtol=1e-4) and torch.allclose(
        levels[3], levels[11], rtol=1e-4
    )
    longer, _ = CirDataset(spec).impulse_responses([5, 7], 20, 1e-3)
    assert torch.equal(longer[1, ..., :17], gains[0])


def test_the_shipped_corridor_has_mean_power_one_and_a_walkers_doppler():
    spec = ChannelSpec(model="cir", num_rx_antennas=2, num_tx_antennas=2)
    model = build_channel_model(spec)
    gains, delays = model.impulse_responses(range(400), 1, 1e-3)
    power = gains.abs().square().sum(dim=(3, 4)).mean()
    assert float(power) == pytest.approx(1.0, abs=0.25) and float(delays.min()) == 0.0
    assert 5.0 < model.statistics().max_doppler_hz < 1.2 * 3.5e9 / 299_792_458 + 5
    assert DigitalLink(spec_of(model="cir")).send([[Payload(b"hello", "base")]], 40.0, [1])[0].payloads == (
        b"hello",
    )
    assert "the corridor that comes with semcom" in describe(LinkSpec(channel=spec))


def test_a_deepmimo_folder_is_read_user_by_user(tmp_path):
    pair = "t001_tx000_r000"
    power = np.array([[-80.0, -90.0, np.nan], [-70.0, np.nan, np.nan], [np.nan] * 3])
    phase = np.where(np.isnan(power), np.nan, [[0.0, 90.0, 0.0]] * 3)
    delay = np.where(np.isnan(power), np.nan, [[1e-6, 1.2e-6, 0.0]] * 3)
    for name, matrix in (("power", power), ("phase", phase), ("delay", delay)):
        savemat(tmp_path / f"{name}_{pair}.mat", {name: matrix})
    records = read(tmp_path)
    assert records.gains.shape == (3, 1, 1, 3, 1)
    assert np.allclose(np.abs(records.gains[0, 0, 0, :, 0]), [1e-4, 10**-4.5, 0])
    assert np.angle(records.gains[0, 0, 0, 1, 0]) == pytest.approx(math.pi / 2)
    assert np.allclose(records.delays_s[0], [0, 0.2e-6, 0])
    # The user whom nothing reaches is no realisation
    gains, _ = CirDataset(ChannelSpec(model="cir", dataset=DatasetSpec(file=tmp_path))).impulse_responses(
        range(50), 1, 1.0
    )
    assert (gains.abs().square().sum(dim=(1, 2, 3, 4)) > 0).all()
    (tmp_path / f"phase_{pair}.mat").unlink()
    with pytest.raises(ValueError, match=r"phase_t001_tx000_r000\.mat is missing"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": np.ones(3)}, "must hold a and tau, or h and frequencies_hz, not x"),
        ({"a": np.ones((1, 1, 2, 1)), "tau": np.zeros(3)}, "doesn't fit"),
        ({"a": np.ones((1, 1, 2, 4)), "tau": np.zeros(2)}, "step_s"),
        ({"h": np.ones((1, 1, 3)), "frequencies_hz": np.array([0.0, 1.0, 5.0])}, "evenly spaced"),
        ({"a": np.full((1, 1, 2, 1), np.nan), "tau": np.zeros(2)}, "finite"),
    ],
)
def test_a_file_of_something_else_is_named(tmp_path, arrays, reason):
    spec = write(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(ValueError, match=rf"wrong\.npz: .*{reason}"):
        build_channel_model(spec)


def test_a_replaced_file_is_read_again(tmp_path):
    spec = write(tmp_path / "set.npz", a=np.ones((1, 1, 1, 1)), tau=np.zeros(1))
    assert len(build_channel_model(spec).statistics().delays_s) == 1
    write(tmp_path / "set.npz", a=np.ones((1, 1, 2, 1)), tau=np.array([0, 1e-7]))
    assert len(build_channel_model(spec).statistics().delays_s) == 2


def test_a_scene_of_ones_own_is_named_by_its_content(tmp_path):
    scene = tmp_path / "hall.xml"
    scene.write_text('<scene><shape><string name="filename" value="hall.ply"/></shape></scene>')
    (tmp_path / "hall.ply").write_text("one")
    spec = ChannelSpec(model="rt", ray_tracing=RayTracingSpec(scene=scene, tx_position_m=(1, 2, 3)))
    before = paths_file(spec)
    assert before.name.startswith("hall-")
    (tmp_path / "hall.ply").write_text("two")
    assert paths_file(spec) != before
    assert json.loads(spec.model_dump_json())["ray_tracing"]["scene"] == str(scene)
    with pytest.raises(ValueError, match=r"existing \.xml file .* or one of box"):
        RayTracingSpec(scene="munchen")
