"""How fast a run or a bundle is, compared with its peers, in one interleaved run."""

from endoexit.offline import switch_off_telemetry

switch_off_telemetry()  # before what is in here imports the libraries that call out
