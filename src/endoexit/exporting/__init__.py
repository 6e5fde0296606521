"""From a run to a bundle: stages as graphs, int8, the policy at the bundle's precision."""
