"""Parsers of single values: text in, a typed value out; nothing here knows what a cluster is."""
