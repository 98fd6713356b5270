"""The rules: which facts mean which cause."""
