"""The exit paper's experiment, from a folder of images to its Table 3 next to ours."""
