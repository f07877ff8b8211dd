"""The collector: configuration, receivers, journal, pipelines, supervisor."""
