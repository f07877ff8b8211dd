"""Processors: one module for each, its name is the type."""
