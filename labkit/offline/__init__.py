"""Does everything work without a network? `labkit doctor --offline` answers by trying it.

The trial runs in a process of its own that cannot leave this machine. Deliberately absent: what
needs a network by its nature, as clouds with an account.
"""
