"""The exporter: shows Prometheus what is true of the whole system, read from Postgres now and then."""
