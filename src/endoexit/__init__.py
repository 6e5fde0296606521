"""endoexit: early-exit image classifiers for endoscopy on ordinary CPUs.

Research use only; not a medical device.
"""

__version__ = "0.1.0"
