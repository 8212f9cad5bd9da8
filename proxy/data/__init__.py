"""From files on disk to the tokens a run trains on: corpora, filters, dedup, tokens, sampling plans, validation.

Array axes: D documents, N tokens, K kept rows, W scoring windows, T tokens of a window.
"""
