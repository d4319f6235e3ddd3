"""The third-party services that FATE Flow calls and nobody ships."""

__version__ = "0.1.0"
