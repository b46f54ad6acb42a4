"""Words for ImageNet classes."""

import pytest

from semcom.picture.class_names import GROUPS, class_names, classes_of


def names(word):
    return [class_names()[i] for i in classes_of(word)]


def test_a_class_is_itself():
    assert names("golden retriever") == ["golden retriever"]
    assert names("Golden_Retriever") == ["golden retriever"]
    assert names("zebra") == ["zebra"]


def test_words_stand_for_groups():
    assert len(names("dog")) == 118  # ImageNet's well-known number of breeds
    assert {"tabby", "Persian cat", "Siamese cat"} <= set(names("cats"))
    assert not set(names("dog")) & set(names("cat"))
    assert {"robin", "macaw", "king penguin"} <= set(names("bird"))
    assert {"sports car", "convertible", "jeep"} <= set(names("car"))
    assert {"airliner", "warplane"} == set(names("airplane"))
    assert names("lighthouse") == ["beacon"]
    assert "crane bird" not in names("crane")


def test_last_word_of_a_name():
    assert set(names("retriever")) == {n for n in class_names() if n.endswith("retriever")}


def test_every_group_is_made_of_classes():
    for word in GROUPS:
        assert names(word)


def test_unknown_word_suggests_near_ones():
    with pytest.raises(ValueError, match="no class named 'eelephant'; near: elephant"):
        classes_of("eelephant")
    with pytest.raises(ValueError, match="no class named ''"):
        classes_of("")
