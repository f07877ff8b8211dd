"""Exporters: one module, or package, per destination; its name is the component type."""
