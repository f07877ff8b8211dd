"""The HTTP API of Jaeger's query service over our spans, for Grafana's data source and Jaeger's own page.

route ──▶ parameters ──▶ questions (SELECTs of reader.jaeger) ──▶ spans, otlp (rows to JSON, pure)
"""
