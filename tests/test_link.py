"""The whole chain on the shipped profile: photo to photo over a simulated channel."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from shutil import copytree

import pytest
import torch

from channels.links.digital import DigitalLink
from channels.spec import LinkSpec
from semcom.contracts import Budget, BudgetError
from semcom.link import ChannelLink, PerfectLink, transmit
from semcom.message import Protection, ReceivedMessage, ReceivedStream
from semcom.metrics.psnr import psnr
from semcom.packets import bits_on_wire, bpp, pack, packet_sizes
from semcom.picture import texture
from semcom.picture.grid import pad_to_grid
from semcom.profile import ProfileError
from semcom.semantic import SemanticSystem
from semcom.streams.header import Header


@pytest.fixture(scope="module")
def link():
    return ChannelLink(DigitalLink(LinkSpec()))


def generous(photo):
    return Budget.of_bpp(0.25, photo.shape[2], photo.shape[1])


def with_options(semantic, **options):
    """The same models, asked for something else."""
    return semantic.with_options(**options)


@pytest.fixture(scope="module")
def message(semantic, small_photo):
    return with_options(semantic, key_share=0.25).encode(small_photo, generous(small_photo))


@pytest.fixture(scope="module")
def lossless(semantic, message):
    (received,) = PerfectLink().send([message], 0.0, [0])
    return received, semantic.decode(received)


def erase(received: ReceivedMessage, name: str, which=lambda index: True) -> ReceivedMessage:
    streams = tuple(
        ReceivedStream(s.name, tuple(None if which(i) else c for i, c in enumerate(s.chunks)))
        if s.name == name
        else s
        for s in received.streams
    )
    return replace(received, streams=streams)


def test_message_has_the_streams_of_the_design(message):
    names = ["header", "card", "mask", "caption", "spw", "hci", "texture", "key"]
    assert [s.name for s in message.streams] == names
    assert message["hci"].protection is message["texture"].protection is Protection.BASE
    assert len(message["hci"].chunks) == 1
    assert message["key"].protection is Protection.DETAIL
    assert {message[n].protection for n in ("header", "card", "mask", "caption", "spw")} == {
        Protection.CRITICAL
    }


def test_bits_are_the_bytes_that_travel(message):
    on_wire = sum(len(packet.data) for packet in pack(message))
    assert sum(bits_on_wire(message).values()) == 8 * on_wire
    assert bpp(message) == pytest.approx(8 * on_wire / (150 * 200))
    assert sum(size for _, size in packet_sizes(message)) == on_wire


def test_at_30_db_nothing_is_lost_and_the_picture_is_the_codecs_own(semantic, small_photo, link, lossless):
    keyed = with_options(semantic, key_share=0.25)
    result = transmit(small_photo, keyed, link, generous(small_photo), snr_db=30, seed=4)
    assert all(stream.complete for stream in result.received.streams)
    torch.testing.assert_close(result.reconstruction.image, lossless[1].image, rtol=0, atol=0)


def test_reconstruction_has_the_size_of_the_photo_and_looks_like_it(small_photo, lossless):
    image = lossless[1].image
    assert image.shape == small_photo.shape
    assert 0 <= image.min() <= image.max() <= 1
    assert psnr(image[None], small_photo[None]).item() > 20


def test_same_seed_same_bytes_and_picture_other_seed_other_channel(semantic, small_photo, link):
    budget = generous(small_photo)
    runs = [transmit(small_photo, semantic, link, budget, snr_db=2, seed=s) for s in (1, 1, 2)]
    assert runs[0].message == runs[1].message == runs[2].message
    assert runs[0].received == runs[1].received
    torch.testing.assert_close(runs[0].reconstruction.image, runs[1].reconstruction.image, rtol=0, atol=0)
    sinr = [{n: c.effective_sinr_db for n, c in r.received.report.classes.items()} for r in runs]
    assert sinr[0] != sinr[2]


def test_budget_in_channel_uses_is_kept_exactly(semantic, small_photo, link):
    budget = Budget.of_channel_uses(6000, link)
    result = transmit(small_photo, semantic, link, budget, snr_db=30, seed=0)
    spent = result.received.report.channel_uses
    assert spent == link.channel_uses(packet_sizes(result.message))
    assert 4500 < spent <= 6000


def test_a_smaller_budget_drops_key_then_words_then_texture_then_card_then_refuses(semantic, small_photo):
    height, width = small_photo.shape[-2:]
    limit, keyed = Budget.of_bpp(0.001, width, height), with_options(semantic, key_share=0.25)
    with pytest.raises(BudgetError, match="the smallest that works is") as caught:
        keyed.encode(small_photo, limit)
    minimum = caught.value.smallest
    smallest = keyed.encode(small_photo, replace(limit, limit=minimum))
    # AV1's sizes are not quite monotonic at the very bottom: the next quality up may be some bytes smaller
    assert 0 <= 8 * minimum - sum(bits_on_wire(smallest).values()) <= 32
    sent = []
    for extra in (0, 30, 60, 90, 120, 130, 140, 150, 160, 1000):
        message = keyed.encode(small_photo, replace(limit, limit=minimum + extra))
        names = {stream.name for stream in message.streams}
        sent += [names] if names not in sent else []
    assert sent == [
        {"header", "hci"},
        {"header", "card", "hci"},
        {"header", "card", "hci", "texture"},
        {"header", "card", "caption", "spw", "hci", "texture"},
        {"header", "card", "caption", "spw", "mask", "key", "hci", "texture"},
    ]


def test_lost_key_packets_are_holes_not_damage(semantic, lossless):
    received, whole = lossless
    some = semantic.decode(erase(received, "key", lambda index: index == 0))
    assert any("1 of" in note and "key packets lost" in note for note in some.notes)
    assert 0 < some.received.sum() < whole.received.sum()
    assert psnr(some.image[None], whole.image[None]).item() > 25


def test_key_packets_make_key_regions_more_faithful(semantic, small_photo):
    """At a rate where the HCI is coarse, as it is in use, and with the whole picture key."""
    everywhere = torch.ones(small_photo.shape[-2:], dtype=torch.bool)
    system = with_options(semantic, mask=everywhere, key_share=0.6)
    (received,) = PerfectLink().send([system.encode(small_photo, Budget.of_bpp(0.17, 200, 150))], 0.0, [0])
    whole, without = semantic.decode(received), semantic.decode(erase(received, "key"))
    assert whole.received.all()
    # Means over 4×4 pixels: what lies below is texture, which is generated either way.
    errors = [
        torch.nn.functional.avg_pool2d((result.image - small_photo)[None], 4).square().mean()
        for result in (whole, without)
    ]
    assert errors[0] < 0.9 * errors[1]


def test_a_larger_share_refines_the_same_region_more_finely(semantic, small_photo):
    everywhere = torch.ones(small_photo.shape[-2:], dtype=torch.bool)
    finenesses = []
    for share in (0.06, 0.12, 0.5):
        system = with_options(semantic, mask=everywhere, key_share=share)
        (received,) = PerfectLink().send(
            [system.encode(small_photo, Budget.of_bpp(0.17, 200, 150))], 0.0, [0]
        )
        finenesses.append(Header.from_bytes(next(iter(received.chunks("header")))).fineness)
        assert system.decode(received).received.all()
    assert finenesses == sorted(set(finenesses))


def test_lost_mask_or_all_key_packets_leave_the_base_picture(semantic, lossless):
    received, _ = lossless
    without_key = semantic.decode(erase(received, "key"))
    without_mask = semantic.decode(erase(received, "mask"))
    assert without_key.received.sum() == without_mask.received.sum() == 0
    assert without_mask.notes == ("mask lost: key detail cannot be placed",)
    assert without_mask.key_mask is None and without_key.key_mask.any()
    assert psnr(without_key.image[None], without_mask.image[None]).item() > 25


def test_lost_hci_falls_back_to_the_colour_card(semantic, small_photo, lossless):
    received, _ = lossless
    carded = semantic.decode(erase(received, "hci"))
    grey = semantic.decode(erase(erase(received, "hci"), "card"))
    assert carded.notes == ("HCI lost", "only the colour card is shown")
    assert grey.notes == ("colour card lost", "HCI lost", "grey picture: no HCI, base picture or colour card")
    assert carded.received.sum() == 0  # the key packets arrived, and refine nothing
    errors = [(r.image - small_photo).abs().mean() for r in (carded, grey)]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize(("stream", "note"), [("caption", "caption lost"), ("spw", "pseudo-words lost")])
def test_words_guide_the_picture_or_are_said_to_be_lost(semantic, lossless, stream, note):
    received, whole = lossless
    assert len(whole.caption.split()) >= 3
    lost = semantic.decode(erase(received, stream))
    assert (lost.caption is None) == (stream == "caption")
    assert note in lost.notes
    assert not torch.equal(lost.image, whole.image)
    assert psnr(lost.image[None], whole.image[None]).item() > 30


def test_texture_makes_detail_as_strong_as_it_was_or_is_said_to_be_lost(semantic, small_photo, lossless):
    received, whole = lossless
    lost = semantic.decode(erase(received, "texture"))
    assert "texture lost" in lost.notes and "texture lost" not in whole.notes
    original = texture.measure(pad_to_grid(small_photo)[None], texture.BLOCK)
    errors = [
        (texture.measure(pad_to_grid(result.image)[None], texture.BLOCK) - original).abs().mean()
        for result in (whole, lost)
    ]
    assert errors[0] < 0.9 * errors[1]


def test_own_caption_none_and_background(semantic, small_photo):
    height, width = small_photo.shape[-2:]
    whole = torch.ones(height, width, dtype=torch.bool)

    def caption(**options):
        system = semantic.with_options(mask=whole, **options)
        (received,) = PerfectLink().send([system.encode(small_photo, generous(small_photo))], 0.0, [0])
        return system.decode(received).caption

    assert caption(caption="Ein Becher Kaffee ☕") == "Ein Becher Kaffee ☕"
    assert caption(caption="none") is None
    assert caption(caption="background") is None  # all of it is key


def test_a_profile_without_captioner_sends_none_and_says_what_is_missing(tmp_path):
    """`auto` means: where the profile can."""
    folder = copytree(Path(str(files("semcom"))) / "profiles" / "tiny", tmp_path / "mute")
    manifest = json.loads((folder / "profile.json").read_text())
    del manifest["parts"]["captioner"]
    (folder / "profile.json").write_text(json.dumps(manifest))
    assert SemanticSystem(folder).transmitter.captions.encode(None, None, None, "auto") is None
    with pytest.raises(ProfileError, match="no part 'captioner'"):
        SemanticSystem(folder, caption="background")


def test_lost_header_is_a_grey_picture_of_the_right_size(semantic, small_photo, lossless):
    lost = semantic.decode(erase(lossless[0], "header"))
    assert lost.image.shape == small_photo.shape
    assert (lost.image == 0.5).all()
    assert lost.notes == ("header lost: grey picture",)


def test_options_steer_the_key_area(semantic, small_photo):
    height, width = small_photo.shape[-2:]
    semantic_without = semantic.with_options(
        key_area=0, card=False, texture=False, caption="none", num_words=0
    )
    message = semantic_without.encode(small_photo, generous(small_photo))
    assert [s.name for s in message.streams] == ["header", "hci"]
    corner = torch.zeros(height, width, dtype=torch.bool)
    corner[:32, :48] = True
    semantic_with = semantic.with_options(mask=corner)
    (received,) = PerfectLink().send([semantic_with.encode(small_photo, generous(small_photo))], 0.0, [0])
    key_mask = semantic_with.decode(received).key_mask
    assert key_mask.sum() == 6
    assert key_mask[:2, :3].all()


@pytest.mark.parametrize("size", [(64, 64), (64, 301), (97, 65)])
def test_small_and_odd_sizes_come_back_at_their_size(semantic, small_photo, size):
    photo = torch.nn.functional.interpolate(small_photo[None], size, mode="area")[0]
    (received,) = PerfectLink().send([semantic.encode(photo, Budget.of_bpp(0.5, size[1], size[0]))], 0.0, [0])
    assert semantic.decode(received).image.shape == (3, *size)
