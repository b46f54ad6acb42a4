"""Stage `deepjscc`: the analog baseline learns through a noisy channel (40·MSE + 0.15·LPIPS-Alex).

Every sample meets its own bandwidth (2 to 16 values per 16×16 pixels), SNR (−5 to 20 dB) and channel: half of
them white noise, the other half a frequency-selective Rayleigh channel, equalised. Starts from the
Karhunen-Loève transform of the training photos with the gains that minimise the squared error of an uncoded
Gaussian source (Lee and Petersen, 1976; used by SoftCast).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from semcom.metrics.lpips import LPIPSNetwork
from semcom.networks.deepjscc import CHANNELS, STRIDE, DeepJSCC
from semcom.picture.pixels import to_tensor
from semcom.profile import write_part
from semcom.train.data.crops import CROP, CodedCrops, list_photos
from semcom.train.training_run import TrainingRun, card_of, train_stage

SNR_DB = (-5.0, 20.0)
_CROPS_A_PHOTO = 4  # reading a photo takes longer than learning from a crop of it
_TAPS, _SUBCARRIERS = 6, 256
_TRANSFORM_PHOTOS = 150
_FEWEST_CHANNELS = 2
_VALIDATION_CROPS, _VALIDATION_SNRS, _VALIDATION_CHANNELS = 32, (0.0, 10.0, 20.0), (3, 13)


class PhotoCrops(CodedCrops):
    """Crops of a photo and the channel that each of them meets."""

    def __init__(self, photos: Sequence[Path], seed: int) -> None:
        super().__init__(photos, CROP, (0, 0), seed)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`target` [4,3,crop,crop], `channels`, `snr_db` and `fading` (1 for a Rayleigh channel) [4]."""
        rng = np.random.default_rng([self.seed, index])
        photo = np.asarray(self._photo(rng)[0])
        crops = []
        for _ in range(_CROPS_A_PHOTO):
            y = int(rng.integers(0, photo.shape[0] - self.crop + 1))
            x = int(rng.integers(0, photo.shape[1] - self.crop + 1))
            crops.append(to_tensor(photo[y : y + self.crop, x : x + self.crop]))
        channels = np.exp(rng.uniform(np.log(_FEWEST_CHANNELS), np.log(CHANNELS), _CROPS_A_PHOTO))
        return {
            "target": torch.stack(crops),
            "channels": torch.from_numpy(channels).float(),
            "snr_db": torch.from_numpy(rng.uniform(*SNR_DB, _CROPS_A_PHOTO)).float(),
            "fading": torch.from_numpy(rng.integers(0, 2, _CROPS_A_PHOTO)).float(),
        }


class DeepJSCCStage:
    """See the module docstring.

    Args:
        photos: training photographs.
        validation: photographs of the fixed validation split.
    """

    name = "deepjscc"
    batch_size = 2
    learning_rate = 1e-3
    ema_decay = 0.998

    def __init__(self, photos: Sequence[Path], validation: Sequence[Path]) -> None:
        self.photos, self.validation = photos, validation
        torch.manual_seed(0)
        codec = DeepJSCC()
        start_from_transform(codec, photos)
        self.model: nn.Module = codec.train().to(memory_format=torch.channels_last)
        self.lpips = LPIPSNetwork().to(memory_format=torch.channels_last)

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Four crops a sample, each with its channel."""
        return PhotoCrops(self.photos, seed)

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """LPIPS is dear, so half of each batch pays for it."""
        flat = {name: value.flatten(0, 1) for name, value in batch.items()}
        target = flat["target"].contiguous(memory_format=torch.channels_last)
        assert isinstance(self.model, DeepJSCC)
        output = through_noise(self.model, target, flat["channels"], flat["snr_db"], flat["fading"])
        return {
            "mse": 40 * (output - target).square().mean(),
            "lpips": 0.15 * self.lpips(output[::2], target[::2]).mean(),
        }

    @torch.inference_mode()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """PSNR and LPIPS on 32 fixed validation crops with white noise, per SNR and number of channels."""
        assert isinstance(model, DeepJSCC)
        crops = PhotoCrops(self.validation, seed=1)
        target = torch.cat([crops[i]["target"][:1] for i in range(_VALIDATION_CROPS)])
        scores = {}
        for channels in _VALIDATION_CHANNELS:
            for snr_db in _VALIDATION_SNRS:
                torch.manual_seed(0)
                ones = torch.ones(len(target))
                output = through_noise(model, target, channels * ones, snr_db * ones, 0 * ones).clamp(0, 1)
                error = (output - target).square().mean((1, 2, 3))
                place = f"{channels}_channels_{snr_db:g}_db"
                scores[f"psnr_{place}"] = (-10 * error.log10()).mean().item()
                scores[f"lpips_{place}"] = self.lpips(output, target).mean().item()
        return scores


def through_noise(
    codec: DeepJSCC, pictures: Tensor, channels: Tensor, snr_db: Tensor, fading: Tensor
) -> Tensor:
    """Pictures [B,3,H,W] as received over a channel each, differentiable.

    Args:
        codec: both ends.
        pictures: in [0,1].
        channels: [B], values sent per 16×16 pixels, not necessarily whole.
        snr_db: [B], Es/N0 of a complex symbol.
        fading: [B], 1 for frequency-selective Rayleigh fading, 0 for none.
    """
    received, error = received_values(codec, pictures, channels, snr_db, fading)
    return codec.receive(received, error, *pictures.shape[-2:])


def received_values(
    codec: DeepJSCC, pictures: Tensor, channels: Tensor, snr_db: Tensor, fading: Tensor
) -> tuple[Tensor, Tensor]:
    """Values [B,n] of pictures as received and their error variances, 1 for those that were not sent.

    Args: see `through_noise`.
    """
    values = codec.send(pictures)
    count = values.shape[1]
    sent = torch.arange(count) < (channels * (count / CHANNELS)).round()[:, None]
    symbols = values * sent
    power = symbols.square().sum(1, keepdim=True) / sent.sum(1, keepdim=True)
    symbols = symbols / power.sqrt().clamp_min(1e-8)
    variance = 10 ** (-snr_db[:, None] / 10) / _gains(len(values), count, fading)
    shrinkage = sent / (1 + variance)  # least mean-square error, as `channels.links.analog` estimates
    received = (symbols + variance.sqrt() * torch.randn_like(symbols)) * shrinkage
    error = torch.where(sent, variance * shrinkage, torch.ones(()))
    return received, error


def _gains(batch: int, count: int, fading: Tensor) -> Tensor:
    """Power gains [batch,count] of the subcarriers that values ride on, of mean one."""
    profile = torch.exp(-torch.arange(_TAPS) / 2.0)
    taps = torch.randn(batch, _TAPS, dtype=torch.complex64) * (profile / profile.sum()).sqrt()
    response = torch.fft.fft(taps, _SUBCARRIERS).abs().square().clamp_min(1e-4)
    drawn = response.gather(1, torch.randint(_SUBCARRIERS, (batch, count)))
    return torch.where(fading[:, None] > 0, drawn, torch.ones(()))


def start_from_transform(codec: DeepJSCC, photos: Sequence[Path]) -> None:
    """Sets both transforms to the photos' 16×16 Karhunen-Loève basis, largest variance first."""
    crops = PhotoCrops(photos, seed=2)
    pictures = torch.cat([crops[i]["target"] for i in range(_TRANSFORM_PHOTOS)])
    blocks = nn.functional.unfold(pictures - 0.5, STRIDE, stride=STRIDE).transpose(1, 2).flatten(0, 1)
    variances, basis = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    variances, basis = variances.flip(0)[:CHANNELS], basis.flip(1)[:, :CHANNELS]
    gains = variances**-0.25  # the power constraint's optimum is the same for every SNR that is not too low
    gains = gains / (gains.square() * variances).mean().sqrt()
    kernels = basis.T.reshape(CHANNELS, 3, STRIDE, STRIDE)
    with torch.no_grad():
        codec.encoder.transform.weight.copy_(kernels * gains[:, None, None, None])
        codec.decoder.transform.weight.copy_(kernels / gains[:, None, None, None])
        for transform in (codec.encoder.transform, codec.decoder.transform):
            assert transform.bias is not None
            transform.bias.zero_()


def train(wanted: TrainingRun) -> None:
    """Trains the part `codec`."""
    photos = list_photos(wanted.data)
    stage = DeepJSCCStage(photos, list_photos(wanted.validation))
    trained = train_stage(stage, wanted)
    card = card_of(stage, trained, wanted, len(photos)) | {
        "started_from": "the Karhunen-Loève transform of the training photos; networks from scratch",
        "losses": "40·MSE + 0.15·LPIPS-Alex (half of each batch); a sample is four crops of one photo",
    }
    write_part(wanted.profile, "codec", {}, trained.model.state_dict(), card)
