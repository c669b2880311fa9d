"""A fact world and a fact model of a size for tests."""

from tasks.settings.fact_model import FactModelConfig, FactWorldConfig

SMALL_WORLD = FactWorldConfig(people=24, name_pool=6, places=6, superlatives=1, objects=6)
"""113 facts, 96 of them of people."""
SMALL_MODEL = FactModelConfig(steps=800, layers=2, hidden=64, heads=2, intermediate=256, least_known=0.9)
"""Learns them in half a minute on one core."""
