"""The programs behind container images, and the table that says which image runs what."""
