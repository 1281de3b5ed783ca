"""Notebooks as they are handed out: learner's and instructor's copies, exercises and solutions.

Works on files and on cells. It knows nothing of labs, clusters or kernels.
"""
