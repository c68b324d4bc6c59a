"""Large files of proposals as tables that processes share."""
