"""Runs contenders against each other in rounds, and tells how much the figures can be trusted."""
