"""A training stage from outside: it writes how long it was asked to train."""


def train(wanted):
    wanted.profile.mkdir(parents=True, exist_ok=True)
    (wanted.profile / "own.txt").write_text(f"{wanted.minutes:g} minutes")
