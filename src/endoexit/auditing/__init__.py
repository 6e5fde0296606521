"""What would spoil a study: copies, leaks and shortcuts in a folder of images."""
