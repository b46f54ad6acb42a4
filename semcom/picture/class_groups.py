"""What may be said of a picture, given the probabilities of ImageNet's classes: the narrowest true words.

Groups of classes with the words for them, narrow ones within wide ones: macaw, parrot, bird, animal. One
class is named where it alone is likely, else the smallest group that is, else nothing is said. And the other
way round: how likely what a caption says is.
"""

from __future__ import annotations

import re
from functools import cache

import torch
from torch import Tensor

from semcom.picture.class_names import GROUPS, class_names, expand

SHARPNESS = 1.8
"""Exponent of the probabilities: the classifier was trained with smoothed labels, so that the thousand small
rests add up to more than many a picture's own class."""
CLASS_LEAST, GROUP_LEAST = 0.4, 0.6
"""Likelihood from which one class (not sharpened) and a group are named: of 437 labelled photos of ImageNet's
classes 312 are named so, 95 % of them rightly."""
PEOPLE_LEAST = 0.9
"""ImageNet has no people, only what they wear and ride."""
_SHORE = "460 525 536 718 801 970 972 975-978 437"
_LAND = "500 970 972 974-980"
_BOATS = "403 472 484 510 554 576 625 628 693-694 724 780 814 833 871 913-914"
_BUILDINGS = (
    "410 415 424-425 437 442 448-449 454 467 483 497-498 500 509 538 580-582 634 637 660 663 668 698 706 727 "
    "743 762 781 788-789 799 807 819 832 853 858 860 865 873 900 904-905 915 536 406"
)
_RIDES = "444 518 665 670-671 870 880"
_VEHICLES = (
    f"{_BOATS} {_RIDES} 404-405 407 436 450 466 468 475 479 511 517 547 555 561 565 569 573 575 586 595 603 "
    "609 612 621 627 654 656-657 660-661 675 690 705 717 730 734 744 751 757 779 802-803 812 817 820 829 847 "
    "856 864 866-867 874 895 908"
)
_CLOTHES = (
    "399-400 411 433-434 439 443 445 452 457 459 474 496 501 515 529 552 560 568 570 578 584 601 608 610 "
    "614-615 617 638-639 643 652 655 658 667 689 697 715 735 775 793 796 808 824 834 836-837 841-842 869 887 "
    "903 906 981-983 776 629 419"
)
_WATER = f"{_SHORE} {_BOATS} 433 445 639 842 983"
_PLURAL = {"a flower": "flowers", "a fruit": "fruit"}
_WORD_GROUPS = (
    "fish shark bird owl parrot duck frog turtle lizard crocodile snake spider crab lobster penguin "
    "whale dog wolf fox cat bear insect beetle butterfly rabbit squirrel horse pig cow sheep goat "
    "antelope camel monkey ape elephant panda bus car truck train guitar drum "
)
_PHRASES = {
    "an animal": "0-397",
    "a sailing boat": "484 780 871 914",
    "a boat": _BOATS,
    "the shore": _SHORE,
    "a landscape": f"{_LAND} {_SHORE} 821 839 888",
    "an aeroplane": "404-405 744 657 812 895 908",
    "a bicycle or a motorcycle": _RIDES,
    "a vehicle": _VEHICLES,
    "a building": _BUILDINGS,
    "an outdoor scene": f"{_BUILDINGS} {_VEHICLES} {_LAND} {_SHORE} 489 716 912 825 821 839 888 704 919-920",
    "a flower": "738 883-884 984-986 308-309",
    "a plant": "936-957 984-998 580 738 883",
    "food": "924-969 987",
    "a cup": "504 550 809 925 967-969 438 441 572",
    "a person": _CLOTHES,
    "a musical instrument": "401-402 420 432 486 494 513 541-542 546 558 566 577 579 593-594 641-642 683-684 "
    "687 699 822 875 881 889",
    "furniture": "423 431 453 493 495 516 520 526 532 548 553 559 564 703 736 765 831 857 861 894",
    "a machine": "413 480-482 485 487 508 527-528 530 534-535 545 546-548 589-590 592 598 605-606 613 620 "
    "632 651 662 664 673 688 707 713 732 742 745 754 759-761 778 782 786 810-811 827 848 851 859 878 882 886 "
    "891 897",
}
_NAMES = {437: "lighthouse", 967: "cup of espresso", 920: "traffic light", 444: "tandem bicycle"}
"""Of classes that ImageNet calls otherwise than people would."""
_PEOPLE = f"{_CLOTHES} {_RIDES} 416 472 602 693 795 801 805 842 890 981-983 746 752"
_SAID_BY_RANGES = {
    _PEOPLE: "man men woman women boy boys girl girls child children kids baby person people player players "
    "lady guy toddler adults crowd group",
    _WATER: "water ocean sea lake river wave surf pool boat",
    _SHORE: "beach sand shore",
    f"{_LAND} 825": "mountain rock cliff hill",
    "450 537 795-796 802-803 970 248-250 296 658": "snow ski snowboard",
    "151-268": "puppy",
    "703": "bench",
    "843": "slide swing",
}
_SAID = {word: ranges for ranges, words in _SAID_BY_RANGES.items() for word in words.split()}
"""What a caption's words need to have been seen, beside the everyday words for classes."""


@cache
def groups() -> dict[str, Tensor]:
    """Phrases and the classes [n] that each stands for, narrow groups first."""
    words = {_with_article(word): GROUPS[word] for word in _WORD_GROUPS.split()} | _PHRASES
    found = {phrase: torch.tensor(sorted(set(expand(ranges)))) for phrase, ranges in words.items()}
    return dict(sorted(found.items(), key=lambda item: len(item[1])))


def sharpened(logits: Tensor) -> Tensor:
    """Probabilities [1000] that add up over groups, of class logits [1000]."""
    return (SHARPNESS * logits).softmax(0)


def narrowest(logits: Tensor) -> tuple[str, float] | None:
    """The narrowest words that are likely to be true, and how likely; None where nothing is.

    Args:
        logits: [1000] of the classes.
    """
    plain, sharp = logits.softmax(0), sharpened(logits)
    best = int(plain.argmax())
    if plain[best] >= CLASS_LEAST:
        return _with_article(_NAMES.get(best, class_names()[best])), float(sharp[best])
    for phrase, classes in groups().items():
        likely = float(sharp[classes].sum())
        if likely >= GROUP_LEAST:
            return _PLURAL.get(phrase, phrase), likely
    return None


def agreed(text: str, sharp: Tensor) -> float | None:
    """How likely what a caption names is; None where a word of it is not likely or none stands for classes.

    Args:
        text: the caption.
        sharp: as `sharpened` gives them.
    """
    least = None
    for word in re.findall(r"[a-z]+", text.lower()):
        for form in (word, word.removesuffix("s")):
            if form in _SAID or form in GROUPS:
                likely = float(sharp[_said(form)].sum())
                if likely < (PEOPLE_LEAST if _SAID.get(form) == _PEOPLE else GROUP_LEAST):
                    return None
                least = likely if least is None else min(least, likely)
                break
    return least


@cache
def _said(word: str) -> Tensor:
    return torch.tensor(sorted(set(expand(_SAID.get(word) or GROUPS[word]))))


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
