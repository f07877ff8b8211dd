"""LangSmith runs: made from spans, put into their trees, kept until LangSmith has them."""
