"""MSDNet (Huang et al. 2018, arXiv 1703.09844): dense layers over several scales at once."""
