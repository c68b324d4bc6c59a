"""Data in, matplotlib or plotly figure out; pure functions without state."""
