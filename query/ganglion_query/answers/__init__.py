"""The questions people ask: one module for each, with what the answer holds and the function that gives it.

reader (SQL) ──▶ rows ──▶ answers ──▶ command line · API · page
"""
