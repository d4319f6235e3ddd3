"""How many examples a property is tried on."""
from hypothesis import settings


def examples(count: int) -> settings:
    """So many with the profile "same" of tests/conftest.py, and times more with a profile that has more."""
    return settings(max_examples=count * settings().max_examples // 100)
