"""LoRA adapters: nothing at first, the same merged, beside packed weights, and after a file."""

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from semcom.receiver import adapters
from semcom.receiver.quantization import Quantization, quantise_decoder, round_to_nf4


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.narrow, self.linear = nn.Conv2d(48, 64, 3), nn.Conv2d(64, 3, 1), nn.Linear(64, 32)

    def forward(self, x):
        y = self.conv(x)
        return self.narrow(y), self.linear(y.mean((2, 3)))


@pytest.fixture
def x():
    return torch.randn(2, 48, 6, 6, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def trained(base):
    """A copy with adapters that do something."""
    model = copy.deepcopy(base)
    adapters.attach(model, 4)
    for layer in adapters.layers(model).values():
        nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    return model


def test_attached_adapters_do_nothing_and_alone_are_trainable(x):
    base, model = Network(), Network()
    adapters.attach(model, 4)
    torch.testing.assert_close(model(x), base(x), rtol=0, atol=0)
    assert {name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad} == {
        "lora_A",
        "lora_B",
    }
    assert adapters.layers(model).keys() == {"conv", "linear"}  # the narrow layer is not worth one


@torch.no_grad()
def test_loaded_adapters_are_merged_into_plain_layers(x):
    model, merged = trained(Network()), Network()
    adapters.load(merged, load(save(adapters.tensors(model))))
    torch.testing.assert_close(merged(x), model(x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(merged(x)[1], Network()(x)[1], atol=1e-2)
    assert type(merged.conv) is nn.Conv2d and type(merged.linear) is nn.Linear


@torch.no_grad()
def test_the_same_beside_packed_weights(x):
    rounded = Network()
    round_to_nf4(rounded, nn.Conv2d, nn.Linear)
    model, packed = trained(rounded), quantise_decoder(Network(), Quantization.NF4)
    adapters.load(packed, adapters.tensors(model))
    torch.testing.assert_close(packed(x), model(x), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_a_start_from_the_rounding_error_is_the_best_of_its_rank():
    exact, rounded = Network(), Network()
    round_to_nf4(rounded, nn.Conv2d, nn.Linear)
    error = exact.linear.weight - rounded.linear.weight
    adapters.attach(rounded, 4)
    adapters.start_from_error(rounded, exact.state_dict())
    left = error - rounded.linear.get_delta_weight("default")
    singular = torch.linalg.svdvals(error)  # Eckart and Young: what the best rank 4 leaves
    assert left.norm().item() == pytest.approx(singular[4:].norm().item(), rel=1e-4)


def test_adapters_of_another_network_are_refused():
    state = adapters.tensors(trained(Network()))
    with pytest.raises(ValueError, match="do not fit"):
        adapters.load(nn.Sequential(nn.Linear(64, 32)), state)
    with pytest.raises(ValueError, match="do not fit"):
        adapters.load(Network(), {})


@torch.no_grad()
def test_training_goes_on_from_adapters_that_were_kept(x):
    model, again = trained(Network()), Network()
    adapters.attach(again, 4)
    adapters.restore(again, load(save(adapters.tensors(model))))
    torch.testing.assert_close(again(x), model(x))
    assert all("lora" in name for name, p in again.named_parameters() if p.requires_grad)
    with pytest.raises(ValueError, match="adapters do not fit the network"):
        adapters.restore(again, {"other.lora_A.weight": torch.zeros(4, 1)})
