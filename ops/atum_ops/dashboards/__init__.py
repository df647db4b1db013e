"""Grafana's dashboards: made here from the metrics' own names, and committed as JSON in deploy/grafana.

::

    overview, delivery, ways, processes      what is shown, and why
              │ Panel, Query
              ▼
        dashboard ── places panels on the grid, with variables and links
              ▼
          kinds ── the JSON of each kind of panel
              ▼
          files ── deploy/grafana/dashboards/*.json
"""
