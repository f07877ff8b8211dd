"""The connectors: each ends some pipelines and begins others; one module, or package, named as its type."""
