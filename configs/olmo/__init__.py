"""Experiments of language models (paper Sec. 4)."""
