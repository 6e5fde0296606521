"""Which layers of a graph compute in floating point, and which one gives its logits."""

from typing import Any

# Nodes between a layer and its stored weights: of decompression, and of layouts.
_BETWEEN = {"Convert", "Multiply", "Subtract", "Reshape", "Transpose"}
# Operations between a product and the logits: its bias, and layouts.
_BEHIND = {"Add", "Reshape", "Identity"}
_INTEGERS = {"i8", "u8", "i4", "u4"}
_MODULE, _PREFIX = "__module.", "owner."


def float_layers_openvino(model: Any) -> tuple[str, ...]:
    """Return the layers of an `openvino.Model` whose stored weights are not integers.

    Layers are convolutions and matrix products, by the names of the network's modules; see
    `_module_of`.
    """
    names = []
    for node in model.get_ordered_ops():
        if node.get_type_name() in {"Convolution", "GroupConvolution", "MatMul"}:
            weights, quantised = node.input_value(1).get_node(), False
            while weights.get_type_name() in _BETWEEN | {"FakeQuantize"}:
                quantised |= weights.get_type_name() == "FakeQuantize"
                weights = weights.input_value(0).get_node()
            if weights.get_type_name() != "Constant":  # a product of two maps has no weights
                continue
            if not quantised and weights.get_element_type().get_type_name() not in _INTEGERS:
                names.append(_module_of(node))
    return tuple(dict.fromkeys(names))


def _module_of(node: Any) -> str:
    """Return the name of the module whose result a node gives.

    A convolution that took the scale of a normalisation into its weights has lost its name, which
    is then that of the normalisation behind it.
    """
    while not node.get_friendly_name().startswith(_MODULE):
        readers = list(node.output(0).get_target_inputs())
        if not readers:
            break
        node = readers[0].get_node()
    name: str = node.get_friendly_name().removeprefix(_MODULE).split("/")[0]
    return name.removeprefix(_PREFIX)


def float_layers_onnx(model: Any) -> tuple[str, ...]:
    """Return the layers of an `onnx.ModelProto` whose weights are read as they are stored."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [
        node.input[1].removeprefix(_PREFIX).removesuffix(".weight")
        for node in model.graph.node
        if node.op_type in {"Conv", "Gemm", "MatMul"} and node.input[1] in weights
    ]
    return tuple(dict.fromkeys(names))


def classifier_openvino(model: Any) -> str | None:
    """Return the matrix product of an `openvino.Model` that gives its last result.

    None where another operation gives it.
    """
    node = model.get_results()[-1].input_value(0).get_node()
    while node.get_type_name() in _BEHIND:
        node = node.input_value(0).get_node()
    name: str = node.get_friendly_name()
    return name if node.get_type_name() == "MatMul" else None


def classifier_onnx(model: Any) -> str | None:
    """Return the node of an `onnx.ModelProto` as `classifier_openvino` does."""
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers[model.graph.output[-1].name]
    while node.op_type in _BEHIND and node.input[0] in makers:
        node = makers[node.input[0]]
    return node.name if node.op_type in {"Gemm", "MatMul"} else None
