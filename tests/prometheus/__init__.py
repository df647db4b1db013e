"""The rules of Prometheus and the configuration of Alertmanager, with the real promtool, amtool and servers."""
