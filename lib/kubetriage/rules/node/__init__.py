"""Why a node is not well: the node itself, or only the contact with it.

The order of ``registry.RULES`` is meaning: what stands above explains what stands below. The rules about contact
exclude each other; a problem that an agent reports stands before the lost contact that it may explain.
"""
