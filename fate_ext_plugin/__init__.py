"""The third-party services that FATE Flow calls."""

__version__ = "0.1.0"
