"""Benchmarks: `make bench`. They print figures and ratios of one run, and never fail a build for noise."""
