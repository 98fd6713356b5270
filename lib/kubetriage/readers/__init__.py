"""Readers of what a cluster or a program said: raw objects, logs, metrics and certificates in, typed facts out."""
