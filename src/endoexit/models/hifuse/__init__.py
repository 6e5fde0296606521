"""HiFuse and EE-HiFuse: the networks of the two papers."""
