"""Engines that run the stages of a network: PyTorch, OpenVINO, ONNX Runtime."""

from endoexit.offline import switch_off_telemetry

switch_off_telemetry()  # before what is in here imports the libraries that call out
