"""One incident out of many findings: which objects are at fault, and what else fails because of them."""
