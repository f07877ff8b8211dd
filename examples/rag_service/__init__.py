"""A small, real RAG service: documents in, answers with their sources out, every step of it observable."""
