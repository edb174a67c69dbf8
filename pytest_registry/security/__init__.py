"""Credentials and certificates of a run's registry."""
