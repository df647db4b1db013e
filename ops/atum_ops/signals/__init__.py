"""Signals: what is true of the whole system at a moment, read once, for the exporter, the alerts and whoever else looks."""
