"""The instructor's board: the records of many learners, collected and shown.

Deliberately absent: anything that a learner's lab needs; that is `labkit.learner`.
"""
