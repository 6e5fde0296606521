"""Videos, frame by frame; needs the extra `video`."""
