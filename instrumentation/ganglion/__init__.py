"""Ganglion: what a service installs to be observable."""

__all__ = ["__version__"]

__version__ = "0.1.0"
