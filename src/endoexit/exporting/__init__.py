"""From a run to a bundle: stages as graphs, int8, the policy at the bundle's precision."""

from endoexit.offline import switch_off_telemetry

switch_off_telemetry()  # before what is in here imports the libraries that call out
