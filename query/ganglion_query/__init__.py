"""The read side: SQL over what the PostgreSQL exporter writes, and the command line."""
