"""The live view: one page with both clusters side by side, served on this machine only.

`polling` reads one thing again and again, `watching` reads a lab's, `snapshot` is what is known at
a moment, `judging` says what is wrong, `drawing` and `page` draw it, `server` serves it.
"""
