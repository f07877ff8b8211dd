"""Receivers: one module or package for each component type."""
