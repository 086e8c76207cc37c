"""Benchmarks: ``python -m bench`` prints tables and writes JSON. Every figure has a baseline from its own run."""
