"""Experiments of the synthetic settings (paper Sec. 3)."""
