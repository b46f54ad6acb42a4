"""Key transform: orthonormal, learned directions are the energetic ones, and it repairs what AV1 lost."""

import torch

from semcom import images
from semcom.models import av1
from semcom.models.key_bitstream import MAX_MAGNITUDE
from semcom.models.key_transform import CELL_VALUES, KeyTransform, learn_basis
from semcom.models.pixels import to_tensor
from semcom.profile import Profile
from semcom.transmitter.hci import thumbnail


def test_learned_basis_finds_the_energetic_subspace():
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(CELL_VALUES, 5))[0].T
    cells = torch.randn(20_000, 5) @ directions * 3 + 0.05 * torch.randn(20_000, CELL_VALUES)
    basis = learn_basis(cells, 5)
    torch.testing.assert_close(basis @ basis.T, torch.eye(5), rtol=0, atol=1e-5)
    overlap = torch.linalg.svdvals(basis @ directions.T)
    assert overlap.min() > 0.999


def test_latents_are_integers_in_range_and_zero_gives_zero():
    transform = Profile.open("tiny").build("key_transform", KeyTransform)
    torch.manual_seed(1)
    latents = transform.quantise(3 * torch.randn(1, 3, 16, 24))
    assert latents.shape == (1, 32, 4, 6)
    assert torch.equal(latents, latents.round())
    assert latents.abs().max() == MAX_MAGNITUDE
    assert transform.residual(torch.zeros(1, 32, 4, 6)).abs().max() == 0


def test_shipped_basis_is_orthonormal():
    basis = Profile.open("tiny").build("key_transform", KeyTransform).basis
    torch.testing.assert_close(basis @ basis.T, torch.eye(32), rtol=0, atol=2e-3)  # stored as float16


def test_quantised_latents_are_within_their_cell():
    """Each reconstructed latent is within the dead zone's reach of the exact one."""
    transform = Profile.open("tiny").build("key_transform", KeyTransform)
    torch.manual_seed(2)
    residual = 0.1 * torch.randn(1, 3, 16, 16)
    exact = torch.einsum("cv,bvhw->bchw", transform.basis, torch.nn.functional.pixel_unshuffle(residual, 4))
    error = (transform.quantise(residual) * transform.step - exact).abs()
    assert error.max() <= 0.64 * transform.step + 1e-6


def test_key_latents_repair_what_av1_lost(sample_photo):
    """Round trip through real AV1 at the qualities in use: at least a fifth of the squared error goes."""
    transform = Profile.open("tiny").build("key_transform", KeyTransform)
    thumb = thumbnail(images.load(sample_photo)[:, :, :592])
    original = to_tensor(thumb)
    for quality in (18, 28, 38):
        payload = av1.encode(thumb, quality, 6, for_restoration=True)
        coded = to_tensor(av1.decode(payload, thumb.shape[1], thumb.shape[0]))
        refined = coded + transform.residual(transform.quantise((original - coded)[None]))[0]
        before, after = ((x - original).square().mean().item() for x in (coded, refined))
        assert after < 0.8 * before, quality
