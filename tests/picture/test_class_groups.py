"""Words for what the classifier sees: narrow where it is sure, wide where it is not, else none."""

import pytest
import torch

from semcom.picture.class_groups import agreed, groups, narrowest, sharpened
from semcom.picture.class_names import class_names, classes_of


def logits(**probabilities):
    """Of named classes; the rest of the probability is spread over all."""
    shares = torch.full((1000,), (1 - sum(probabilities.values())) / 1000)
    for name, share in probabilities.items():
        shares[class_names().index(name.replace("_", " "))] += share
    return shares.log()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"espresso": 0.5, "cup": 0.1}, "a cup of espresso"),
        ({"beacon": 0.9}, "a lighthouse"),
        ({"macaw": 0.2, "lorikeet": 0.2}, "a parrot"),
        ({"macaw": 0.15, "robin": 0.15, "ostrich": 0.15}, "a bird"),
        ({"macaw": 0.15, "zebra": 0.15, "tench": 0.15}, "an animal"),
        ({"barn": 0.15, "palace": 0.15}, "a building"),
        ({"yawl": 0.2, "catamaran": 0.2}, "a sailing boat"),
        ({"macaw": 0.15, "padlock": 0.15, "teapot": 0.15, "stole": 0.15}, None),
        ({}, None),
    ],
)
def test_the_narrowest_words_that_are_likely(seen, words):
    named = narrowest(logits(**seen))
    assert (named and named[0]) == words
    assert named is None or 0.4 < named[1] <= 1


def test_groups_hold_the_classes_that_their_words_name():
    found = groups()
    for word in ("dog", "bird", "guitar"):
        assert found[f"a {word}"].tolist() == list(classes_of(word))
    assert (
        set(found["a sailing boat"].tolist())
        < set(found["a boat"].tolist())
        < set(found["a vehicle"].tolist())
    )


def test_a_caption_agrees_only_if_every_word_does():
    dog = sharpened(logits(golden_retriever=0.6))
    assert agreed("a brown dog is running through the grass", dog) > 0.9
    assert agreed("two dogs are running", dog) > 0.9
    assert agreed("a man and a dog are running", dog) is None
    assert agreed("a cat is sitting", dog) is None
    assert agreed("something red", dog) is None
    cup = sharpened(logits(espresso=0.6))
    assert agreed("a black dog is sitting on a wooden bench", cup) is None
