"""Turns diagnoses into text and documents; the only importer of tabulate."""
