"""Metrics, intervals, paired tests, calibration, speed and memory probes: pure functions that know no model."""
