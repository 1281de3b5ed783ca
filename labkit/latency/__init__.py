"""Latency: samples to statistics to charts, as pure functions of DataFrames.

No cluster is reached from here. `samples` fixes columns and units, `statistics` and `histogram`
compute, `charts` draws. Figures say what they are: mean, quantile with interval, or bracket.
"""
