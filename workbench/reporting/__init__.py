"""Notebooks and texts as one linked site of HTML files."""

from workbench.reporting.site import write_site

__all__ = ["write_site"]
