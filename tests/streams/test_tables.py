"""Tables of the streams: a part of the profile, replaced one by one by the stages that learn them."""

from types import SimpleNamespace

import torch

from semcom.profile import Profile
from semcom.streams.tables import PART, StreamTables
from semcom.train.tables import write_tables


def test_the_profile_has_integer_tables_that_sum_to_one():
    tables = StreamTables.from_tensors(Profile.open("tiny").tensors(PART))
    assert {sum(each) for each in (tables.card_luma, tables.card_chroma, *tables.texture)} == {1 << 12}
    assert len(tables.mask) == 1024 and min(map(min, tables.mask)) >= 1
    assert StreamTables.from_tensors(tables.tensors()) == tables


def test_a_stage_replaces_its_own_table_and_says_so(tmp_path):
    wanted = SimpleNamespace(profile=tmp_path / "mine", data=["photos"])
    write_tables(wanted, mask=[[1, 2]])
    write_tables(wanted, {"texture_expectation": [1.0]}, texture=[[3, 4]])
    profile = Profile.open(wanted.profile)
    assert {name: value.tolist() for name, value in profile.tensors(PART).items()} == {
        "mask": [[1, 2]],
        "texture": [[3, 4]],
    }
    assert profile.card(PART)["texture"]["texture_expectation"] == [1.0]
    assert profile.card(PART)["mask"]["data"] == ["photos"]
    assert profile.tensors(PART)["mask"].dtype == torch.int32
