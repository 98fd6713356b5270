"""Causes of a sick control plane, in the order of the chain: what breaks the rest comes first."""
