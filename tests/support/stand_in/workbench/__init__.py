"""Stands in for the package in tests of process handling: starts in milliseconds, without torch."""
