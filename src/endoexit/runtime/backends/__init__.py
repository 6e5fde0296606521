"""Engines that run the stages of a network: PyTorch, OpenVINO, ONNX Runtime."""
