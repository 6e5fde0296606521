"""Videos over time: from the frames of a clip to rows, events and a summary."""
