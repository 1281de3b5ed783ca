"""One archive that installs labkit on a machine without a network.

Wheels come from the hashed lock file by pip; nothing is resolved anew. Deliberately absent:
deciding whether the installed thing works; that is `labkit doctor --offline`.
"""
