"""Readers of a cluster and of its recordings; the only importer of kubernetes."""
