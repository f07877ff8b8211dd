"""The read side over HTTP: the answers as JSON, Jaeger's query API, and the page.

request ──▶ guard (who may ask) ──▶ route ──▶ one function of `answers` ──▶ JSON of its dataclass
"""
