"""Answers on a terminal: one module for each.

What a sender wrote reaches the terminal through `ganglion_query.text` alone; colours only where there is a terminal.
"""

from ganglion_query.render.tree import print_trace

__all__ = ["print_trace"]
