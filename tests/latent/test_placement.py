"""Every tensor is where its network is: checked with fake tensors, which need no GPU to be on one."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from semcom.networks import mgdd
from semcom.networks.enhancer import Enhancer
from semcom.networks.mgdd import MultimodalDecoder, TextCondition, denoise
from semcom.receiver.precision import Quantization
from semcom.receiver.quantization import resolved
from semcom.semantic import SemanticSystem


class OneStep:
    """A scheduler without arithmetic on numbers, which fake tensors have none of."""

    def set_timesteps(self, steps):
        self.timesteps = [torch.full((), 999)] * steps

    def step(self, clean, level, noisy, return_dict):
        assert clean.device == noisy.device
        return (noisy,)


def test_tiny_networks_stay_on_their_device(monkeypatch):
    monkeypatch.setattr(mgdd, "schedule", OneStep)
    with FakeTensorMode():
        hci = torch.zeros(1, 3, 64, 64, device="cuda")
        with torch.device("cuda"):
            enhancer, decoder = Enhancer(num_blocks=1).eval(), MultimodalDecoder(64).eval()
        x0 = enhancer.restore(hci[0], 30, torch.zeros(9, 64, 64, device="cuda"), hci[0])
        cells = torch.zeros(1, 1, 16, 16)
        said = TextCondition(torch.zeros(1, 40, dtype=torch.long), torch.zeros(1, 0, 5), torch.zeros(1))
        guidance = said.about(hci.cpu(), torch.zeros(1, 32, 16, 16), cells, cells).to("cuda")
        image = denoise(decoder, x0[None], guidance, 2, 0)
        assert image.device.type == "cuda" and image.shape == (1, 3, 256, 256)
        with pytest.raises(RuntimeError, match=r"(?i)device"):  # so that the test can fail
            denoise(decoder, x0[None], guidance.to("cpu"), 1, 0)


def test_latent_generator_stays_on_its_device(tmp_path):
    import miniature

    from semcom.networks.latent_diffusion import Known, LatentGenerator, Sampling

    tokenizer = miniature.tokenizer(tmp_path / "tokens")
    ids = tokenizer([""], padding="max_length", max_length=24, return_tensors="pt").input_ids

    class Tokens:
        def __call__(self, *args, **options):
            return type("Batch", (), {"input_ids": torch.zeros(ids.shape, dtype=torch.long)})

    with FakeTensorMode():
        with torch.device("cuda"):
            parts = miniature.unet(), miniature.vae(), miniature.text_encoder(), Tokens()
        sampling = Sampling("epsilon", steps=2, guidance_scale=2.0)
        generator = LatentGenerator(*parts, torch.linspace(0.99, 0.01, 1000, device="cuda"), sampling).eval()
        known = Known(torch.zeros(1, 3, 96, 64), torch.zeros(1, 1, 6, 4), "a", torch.zeros(1, 0, 5), 30, 1)
        image = generator.generate(known, 1, 0)
        assert image.device.type == "cpu" and image.shape == (1, 3, 96, 64)


def test_a_device_that_is_not_there_is_one_sentence():
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ValueError, match=r"device: PyTorch .* sees no cuda"):
        SemanticSystem("tiny", device="cuda")


def test_integers_are_for_the_cpu():
    assert resolved(Quantization.AUTO, "cuda") is Quantization.FP32
    with pytest.raises(ValueError, match="int8 runs on the CPU; on cuda:1"):
        resolved(Quantization.INT8, "cuda:1")
