"""The processes of a run: how they are started, found again, and talk to each other."""
