"""Benchmarks: commands that measure speed, memory and quality, and keep them as rows in benchmarks/results."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # of the repository
