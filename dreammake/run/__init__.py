"""Carries a plan out: the build loop, and the worker that does one job."""
