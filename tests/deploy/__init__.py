"""Tests of what is shipped in deploy/."""
