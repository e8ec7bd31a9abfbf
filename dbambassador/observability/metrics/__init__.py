"""Metrics for Prometheus: counters folded from events, gauges of a snapshot."""
