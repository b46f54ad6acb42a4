"""Key transform: integers in range, nothing where nothing arrived, and it repairs what AV1 lost."""

import pytest
import torch
import torch.nn.functional as F

from semcom.limits import MAX_LATENT
from semcom.metrics.dists import dists
from semcom.metrics.lpips import lpips
from semcom.networks.enhancer import Enhancer
from semcom.networks.key_transform import CELL_VALUES, FINENESSES, KeyTransform, learn_basis, start_from_basis
from semcom.picture import images, texture
from semcom.picture.pixels import to_tensor
from semcom.profile import Profile
from semcom.streams.coding import av1
from semcom.transmitter.hci import thumbnail


@pytest.fixture(scope="module")
def shipped() -> KeyTransform:
    return Profile.open("tiny").build("key_transform", KeyTransform)


def test_learned_basis_finds_the_energetic_subspace():
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(CELL_VALUES, 5))[0].T
    cells = torch.randn(20_000, 5) @ directions * 3 + 0.05 * torch.randn(20_000, CELL_VALUES)
    basis = learn_basis(cells, 5)
    torch.testing.assert_close(basis @ basis.T, torch.eye(5), rtol=0, atol=1e-5)
    overlap = torch.linalg.svdvals(basis @ directions.T)
    assert overlap.min() > 0.999


def test_a_basis_is_where_training_starts():
    """The linear part projects on the basis and back: what lies in it is repaired to within half a step."""
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(CELL_VALUES, 32))[0].T
    transform = start_from_basis(basis).requires_grad_(False)
    for convolutions in (transform.analysis, transform.synthesis):
        convolutions[-1].weight.zero_()
    cells = torch.einsum("cv,bchw->bvhw", basis, torch.randn(1, 32, 4, 6) / 4)
    residual = F.pixel_shuffle(cells, 4) / 4
    hci = torch.full((1, 3, 16, 24), 0.5)
    picture = (hci + residual).repeat_interleave(4, 2).repeat_interleave(4, 3)
    refined, _ = transform.refine(hci, transform(picture, hci), torch.ones(1, 1, 4, 6))
    torch.testing.assert_close(refined, (hci + residual).clamp(0, 1), rtol=0, atol=1e-4)


def test_latents_are_integers_in_range(shipped):
    torch.manual_seed(1)
    latents = shipped.quantise(shipped(3 * torch.randn(1, 3, 64, 96), torch.rand(1, 3, 16, 24)))
    assert latents.shape == (1, 32, 4, 6)
    assert torch.equal(latents, latents.round())
    assert latents.abs().max() == MAX_LATENT


def test_a_finer_quantiser_errs_less(shipped):
    torch.manual_seed(2)
    latents = shipped(torch.rand(1, 3, 64, 96), torch.rand(1, 3, 16, 24)).clamp(-2, 2)
    errors = [
        (shipped.values(shipped.quantise(latents, fineness), fineness) - latents).square().mean().item()
        for fineness in FINENESSES
    ]
    assert errors == sorted(errors, reverse=True)
    # From one to the next a step is smaller by √2; the dead zone weighs less where few latents are small.
    assert 4 < errors[0] / errors[-1] < 64
    assert shipped.quantise(latents, FINENESSES[-1]).abs().max() <= MAX_LATENT


def test_nothing_changes_where_nothing_arrived(shipped):
    torch.manual_seed(1)
    hci, arrived = torch.rand(1, 3, 16, 24), torch.zeros(1, 1, 4, 6)
    arrived[..., 1, 2] = 1
    refined, told = shipped.refine(hci, torch.randint(-2, 3, (1, 32, 4, 6)) * arrived, arrived)
    cell = (slice(None), slice(None), slice(4, 8), slice(8, 12))
    assert told[:, :1].sum() == 16 and torch.equal(told[:, :1][cell], torch.ones(1, 1, 4, 4))
    assert not torch.equal(refined[cell], hci[cell])
    refined[cell], told[cell] = hci[cell], 0
    assert torch.equal(refined, hci) and not told.any()


@pytest.mark.slow
def test_key_latents_make_the_restored_picture_more_like_the_photo(shipped, sample_photo):
    """Round trip through real AV1 at the qualities in use, with everything key: better by both metrics."""
    profile = Profile.open("tiny")
    photo = images.load(sample_photo)[:, 64:256, 64:320]
    enhancer = profile.build("enhancer", Enhancer)
    thumb = thumbnail(photo)
    for quality in (18, 38):
        payload = av1.encode(thumb, quality, 6, for_restoration=True)
        coded = to_tensor(av1.decode(payload, thumb.shape[1], thumb.shape[0]))[None]
        latents = shipped.quantise(shipped(photo[None], coded))
        fine, level = torch.zeros(1, texture.PLANES, *coded.shape[2:]), torch.tensor([float(quality)])
        pictures = []
        for arrived in (torch.zeros_like(latents[:, :1]), torch.ones_like(latents[:, :1])):
            source, told = shipped.refine(coded, latents * arrived, arrived)
            with torch.inference_mode():
                pictures.append(enhancer(source, level, told, fine).clamp(0, 1))
        for metric in (lpips, dists):
            without, with_key = (metric(picture, photo[None]).item() for picture in pictures)
            assert with_key < 0.97 * without, (quality, metric.__name__)
