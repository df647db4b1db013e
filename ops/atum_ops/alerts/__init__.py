"""Alerts: conditions under which operators are told, for Prometheus and for `alerts watch` alike."""
