"""Classical and neural systems to compare with, behind the same contract."""
