"""ImageNet's thousand classes by name, and the everyday words for groups of them.

`classes_of("dog")` is every breed, `classes_of("golden retriever")` one class. ImageNet keeps related
animals side by side, so that a word stands for a few ranges of classes.
"""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

GROUPS = {
    "animal": "0-397",
    "fish": "0-6 389-397",
    "shark": "2-4",
    "bird": "7-24 80-100 127-146",
    "owl": "24",
    "parrot": "87-90",
    "duck": "97-98",
    "frog": "30-32",
    "turtle": "33-37",
    "lizard": "38-48",
    "reptile": "33-68",
    "crocodile": "49-50",
    "snake": "52-68",
    "spider": "72-77",
    "crab": "118-121 125",
    "lobster": "122-123",
    "penguin": "145",
    "whale": "147-148",
    "seal": "150",
    "dog": "151-268",
    "terrier": "179-193 199-203",
    "wolf": "269-272",
    "fox": "277-280",
    "cat": "281-287",
    "bear": "294-297",
    "insect": "300-326",
    "beetle": "300-307",
    "butterfly": "321-326",
    "rabbit": "330-332",
    "squirrel": "335",
    "horse": "339",
    "pig": "341-343",
    "cow": "345-347",
    "sheep": "348-349",
    "goat": "350",
    "antelope": "351-353",
    "camel": "354",
    "monkey": "369-382",
    "ape": "365-369",
    "elephant": "101 385-386",
    "panda": "387-388",
    "aeroplane": "404 895",
    "airplane": "404 895",
    "ball": "429-430 522 574 722 768 805 852 890",
    "barge": "510 554",
    "bag": "414 728 748",
    "bicycle": "444 671",
    "bike": "444 665 670 671",
    "boat": "472 484 554 576 625 780 814 871 914",
    "book": "454 921",
    "bottle": "440 720 737 898 901 907",
    "bridge": "821 839 888",
    "building": "425 449 483 497 538 663 668 698 832",
    "bus": "654 779 874",
    "car": "407 436 468 511 609 627 656 661 705 717 751 817",
    "chair": "423 559 703 765 857",
    "clock": "409 530 892",
    "computer": "527 590 620",
    "cup": "504 968",
    "door": "799",
    "drum": "541 822",
    "fence": "489 716 912",
    "flower": "985-986",
    "fruit": "948-957",
    "glasses": "836-837",
    "guitar": "402 546",
    "hat": "439 452 515 808",
    "helmet": "518 560 715",
    "house": "425 449 660 853 858",
    "lamp": "619 846",
    "lighthouse": "437",
    "motorcycle": "665 670",
    "motorbike": "665 670",
    "mountain": "970 972 980",
    "mug": "504",
    "phone": "487 528 707",
    "piano": "579 881",
    "plane": "404 895",
    "sailboat": "484 780 871 914",
    "ship": "403 510 628 724 780",
    "shoe": "502 514 630 770 774",
    "sofa": "831",
    "statue": "649 863",
    "table": "532 736",
    "telephone": "487 528 707",
    "train": "466 547 565 705 820",
    "truck": "555 569 717 864 867",
    "vegetable": "936-946",
    "watch": "531 826",
}


@cache
def class_names() -> tuple[str, ...]:
    """The names of the 1000 classes, in the classifier's order, as torchvision lists them.

    Read from the file that torchvision keeps them in, because importing torchvision takes seconds that a
    misspelt class should not cost; by its public interface where that file is another.
    """
    found = find_spec("torchvision")
    for folder in (found.submodule_search_locations or ()) if found else ():
        with suppress(OSError, SyntaxError, KeyError):
            return tuple(run_path(str(Path(folder) / "models" / "_meta.py"))["_IMAGENET_CATEGORIES"])
    from torchvision.models import EfficientNet_B0_Weights

    return tuple(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])


def classes_of(word: str) -> tuple[int, ...]:
    """Classes that a word or a class name stands for, in ascending order.

    Capitals, a plural s and underscores do not matter. A word that is no group and no whole name stands
    for every class whose name ends in it ("retriever", "squash").

    Raises:
        ValueError: no class has that name; the message suggests near ones.
    """
    wanted = word.replace("_", " ").strip().lower()
    names = [name.lower() for name in class_names()]
    for form in (wanted, wanted.removesuffix("s")):
        if form in GROUPS:
            return expand(GROUPS[form])
        exact = [i for i, name in enumerate(names) if name == form]
        found = exact or [i for i, name in enumerate(names) if form and name.split()[-1] == form]
        if found:
            return tuple(found)
    near = get_close_matches(wanted, [*GROUPS, *names], n=3)
    hint = (
        f"; near: {', '.join(near)}" if near else "; use an ImageNet class or a word such as dog, bird, car"
    )
    raise ValueError(f"no class named {word!r}{hint}")


def expand(ranges: str) -> tuple[int, ...]:
    """`"2-4 9"` is 2, 3, 4, 9."""
    ends = [tuple(map(int, part.split("-"))) for part in ranges.split()]
    return tuple(i for end in ends for i in range(end[0], end[-1] + 1))
