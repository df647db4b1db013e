"""Faults on purpose: what networks and servers do at their worst, for tests and experiments.

Importing this package starts nothing.
"""
