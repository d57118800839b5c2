"""Operators of models, alone in small ones, and models that are wrong (spec sdk/05 §2)."""

import contextlib
import pathlib
import struct
import types

import dumps
import genlayer_embeddings.operators as operators
import numpy as np
import onnx
from onnx.numpy_source import source_of
from onnx.wire import MalformedModel, read_model


def model(nodes, inputs=("x",), outputs=("y",), tensors=(), opset=11, **more):
    """The bytes of a model; nodes are (operator, inputs, outputs, attributes)."""
    made = onnx.ModelProto(ir_version=6, **more)
    made.opset_import.add(version=opset)
    made.graph.name = "graph"
    for operator, ins, outs, attributes in nodes:
        node = made.graph.node.add(op_type=operator, input=ins, output=outs)
        for name, value in attributes.items():
            attribute(node.attribute.add(name=name), value)
    for name in inputs:
        made.graph.input.add(name=name)
    for name in outputs:
        made.graph.output.add(name=name)
    for name, value in dict(tensors).items():
        made.graph.initializer.append(tensor(value, name))
    return made.SerializeToString()


def attribute(made, value):
    kinds = {float: (1, "f"), int: (2, "i"), bytes: (3, "s")}
    if isinstance(value, onnx.TensorProto):
        made.type = 4
        made.t.CopyFrom(value)
    elif isinstance(value, list):
        made.type, field = (6, "floats") if value and isinstance(value[0], float) else (7, "ints")
        getattr(made, field).extend(value)
    else:
        made.type, field = kinds[type(value)]
        setattr(made, field, value)


def tensor(value, name=""):
    if isinstance(value, onnx.TensorProto):
        value.name = name
        return value
    kinds = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float64": 11, "uint8": 2}
    value = np.asarray(value)
    return onnx.TensorProto(name=name, data_type=kinds[value.dtype.name], dims=value.shape, raw_data=value.tobytes())


def run(data, **inputs):
    """The outputs of a model."""
    names = {"__file__": "/nowhere/model.py", "__name__": "model"}
    exec(compile(source_of(data, {}), "<model>", "exec"), names)
    names["weights"]._bytes = lambda offset, size: bytearray(data[offset : offset + size])
    return names["main"](**inputs)


def one(operator, *inputs, opset=11, outputs=("y",), **attributes):
    """What a model of one operator gives; integers and lists among the inputs are tensors of the model."""
    names = [f"i{number}" for number in range(len(inputs))]
    given = {name: value for name, value in zip(names, inputs, strict=True) if isinstance(value, np.ndarray)}
    tensors = {name: np.array(value, np.int64) for name, value in zip(names, inputs, strict=True) if name not in given}
    data = model([(operator, names, outputs, attributes)], tuple(given), outputs, tensors, opset)
    results = run(data, **given)
    return results["y"] if outputs == ("y",) else [results[name] for name in outputs]


F = np.arange(6, dtype=np.float32).reshape(2, 3)


def same(found, expected, kind=np.float32):
    found = np.asarray(found)
    assert found.dtype == kind, found.dtype
    assert found.tolist() == np.asarray(expected).tolist(), (found, expected)


def case_arithmetic():
    same(one("Add", F, F), F + F)
    same(one("Sub", F, np.float32([1, 1, 2])), F - np.float32([1, 1, 2]))
    same(one("Mul", F, F), F * F)
    same(one("Div", F, F + 1), F / (F + 1))
    same(one("Div", np.array([-7, 7, 9]), np.array([2, -2, 3])), [-3, -3, 3], np.array([1]).dtype)
    same(one("Pow", F, np.float32([2])), F * F)
    same(one("Sqrt", F), np.sqrt(F))
    same(one("Tanh", F), np.tanh(F))
    same(one("MatMul", F, F.T.copy()), F @ F.T)
    same(one("Gemm", F, F, F[:, :2], alpha=2.0, beta=0.5, transB=1), 2 * (F @ F.T) + 0.5 * F[:, :2])
    same(one("Gemm", F, F, transA=1), F.T @ F)


def case_erf():
    exact = {-3.0: -0.9999779095, -1.0: -0.8427007929, 0.0: 0.0, 0.5: 0.5204998778, 1.0: 0.8427007929, 6.0: 1.0}
    found = one("Erf", np.array(list(exact), np.float32))
    assert found.dtype == np.float32
    assert np.abs(found - np.array(list(exact.values()))).max() < 3e-7
    assert np.isnan(one("Erf", np.float32([np.nan]))).all()


def case_softmax():
    x = np.array([[[1, 2], [3, 5]], [[0, 0], [9, 1]]], np.float32)
    for axis in (0, 1, 2, -1):
        total = one("Softmax", x, axis=axis).sum(axis=axis)
        assert np.abs(total - 1).max() < 1e-6
    same(one("Softmax", x, opset=11), operators.Softmax(x, axis=1))
    same(one("Softmax", x, opset=13), operators.Softmax(x, axis=-1))
    assert np.isfinite(one("Softmax", np.float32([[3e38, -3e38]]))).all()


def case_mean():
    same(one("ReduceMean", F, axes=[1]), [[1], [4]])
    same(one("ReduceMean", F, axes=[0], keepdims=0), [1.5, 2.5, 3.5])
    same(one("ReduceMean", F), [[2.5]])
    same(one("ReduceMean", F, [1], opset=18), [[1], [4]])
    same(one("ReduceMean", F, opset=18, noop_with_empty_axes=1), F)


def case_shapes():
    same(one("Reshape", F, [0, -1, 1]), F.reshape(2, 3, 1))
    same(one("Reshape", np.zeros((0, 3), np.float32), [3, 0], opset=14, allowzero=1), np.zeros((3, 0)))
    same(one("Transpose", F), F.T)
    same(one("Transpose", F.reshape(1, 2, 3), perm=[2, 0, 1]), F.reshape(1, 2, 3).transpose(2, 0, 1))
    same(one("Unsqueeze", F, axes=[0, -1]), F.reshape(1, 2, 3, 1))
    same(one("Unsqueeze", F, [1], opset=13), F.reshape(2, 1, 3))
    same(one("Shape", F), [2, 3], np.int64)
    same(one("Shape", F, start=1, opset=15), [3], np.int64)
    same(one("Concat", F, F, axis=-1), np.concatenate([F, F], 1))
    same(one("Cast", F + 0.7, to=7), [[0, 1, 2], [3, 4, 5]], np.int64)
    same(one("Cast", F, to=10), F)


def case_parts():
    same(one("Gather", F, [2, 0], axis=1), F[:, [2, 0]])
    same(one("Gather", F, -1), F[-1])
    same(one("Slice", F, opset=9, axes=[1], starts=[1], ends=[2**31 - 1]), F[:, 1:])
    same(one("Slice", F, [0, -2], [1, 9]), F[0:1, -2:])
    same(one("Slice", F, [-1], [-(2**63)], [1], [-2]), F[:, ::-2])
    first, second = one("Split", F, outputs=("a", "b"), axis=1, split=[1, 2])
    same(first, F[:, :1])
    same(second, F[:, 1:])
    first, second = one("Split", F, outputs=("a", "b"), axis=1, opset=18, num_outputs=2)
    same(second, F[:, 2:])
    (whole,) = one("Split", F, [2], outputs=("a",), opset=13)
    same(whole, F)
    dumps.raises(ValueError, lambda: one("Split", F, [1, 2], outputs=("a", "b"), opset=13))


def constant(**attributes):
    return run(model([("Constant", [], ["y"], attributes)], inputs=()))["y"]


def case_constants():
    same(constant(value_float=1.5), 1.5)
    same(constant(value_floats=[1.5, 2.0]), [1.5, 2])
    same(constant(value_int=-3), -3, np.int64)
    same(constant(value_ints=[1, 2]), [1, 2], np.int64)
    same(constant(value=tensor(F)), F)


def case_element_types():
    def of(kind, shape=(2,), **values):
        return constant(value=onnx.TensorProto(data_type=kind, dims=shape, **values))

    same(of(1, float_data=[1.5, -2]), [1.5, -2])
    same(of(11, double_data=[1.5, -2]), [1.5, -2], np.float64)
    same(of(7, int64_data=[-1, 2]), [-1, 2], np.int64)
    same(of(3, int32_data=[-1, 2]), [-1, 2], np.int8)
    same(of(9, int32_data=[0, 1]), [False, True], np.bool_)
    same(of(12, uint64_data=[0, 2**32 - 1]), [0, 2**32 - 1], np.uint32)
    same(of(10, int32_data=[0x3C00, 0xC000]), [1, -2])
    same(of(10, raw_data=struct.pack("<2e", 0.5, 65504)), [0.5, 65504])
    same(of(16, raw_data=bytes.fromhex("803f00c0")), [1, -2])
    same(of(17, raw_data=bytes.fromhex("387e")), [1, 448])
    same(of(18, raw_data=bytes.fromhex("407f")), [1, 240])
    same(of(19, raw_data=bytes.fromhex("3c7b")), [1, 57344])
    same(of(19, raw_data=bytes.fromhex("7cfc")), [np.inf, -np.inf])
    same(of(20, raw_data=bytes.fromhex("4001")), [1, 2**-17])
    assert np.isnan(of(17, raw_data=bytes.fromhex("7fff"))).all()
    assert np.isnan(of(18, raw_data=bytes.fromhex("8080"))).all()
    same(of(1, (), float_data=[7]), 7)
    for kind in (8, 14, 15, 0, 99):
        assert "not supported" in dumps.raises(MalformedModel, lambda kind=kind: of(kind, (0,)))


def case_large_tensors_are_read_from_the_file():
    table = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    data = model([("Gather", ["t", "x"], ["y"], {})], tensors={"t": table})
    indices = np.array([[5, -1, 5], [0, 999, 500]])
    same(run(data, x=indices)["y"], table[indices])
    same(run(data, x=np.arange(1000))["y"], table)
    for wrong in (1000, -1001):
        dumps.raises(IndexError, lambda wrong=wrong: run(data, x=np.array([wrong])))


def case_unknown_operators():
    for operator in ("Loop", "Conv", "", "constant", "__import__"):
        data = model([(operator, ["x"], ["y"], {})])
        assert dumps.raises(Exception, lambda data=data: source_of(data, {})) == f"op_type {operator} not supported"
    custom = onnx.ModelProto.FromString(model([("Add", ["x", "x"], ["y"], {})]))
    custom.graph.node[0].domain = "com.example"
    data = custom.SerializeToString()
    assert dumps.raises(Exception, lambda: source_of(data, {})) == "op_type Add not supported"
    text = dumps.raises(Exception, lambda: one("Softmax", F, beam=1))
    assert text == "op_type Softmax with the attribute beam not supported"


def case_names_are_no_code():
    evil = "x); import os; print('"
    data = model([("Add", [evil, evil], ["y\n"], {})], inputs=(evil,), outputs=("y\n",))
    (name,) = source_of(data, {}).split("def main(")[1].split(")")[0].split(",")
    same(run(data, **{name: F})["y\n"], F + F)
    keyword = model([("Add", ["class", "v0"], ["y"], {})], inputs=("class", "v0"))
    same(run(keyword, _class=F, _v0=F)["y"], F + F)


def case_wrong_models():
    wrong = {
        "no graph": b"",
        "value 'q' is used before something gives it": model([("Add", ["x", "q"], ["y"], {})]),
        "value 'y' is used before something gives it": model([]),
        "Constant needs exactly one value": model([("Constant", [], ["y"], {})]),
        "is no number": model([("Softmax", ["x"], ["y"], {"axis": b"1"})]),
        "Sqrt gives nothing": model([("Sqrt", ["x"], [], {})]),
        "two inputs are called a_b": model([], inputs=("a b", "a_b"), outputs=()),
    }
    short = onnx.TensorProto(data_type=1, dims=[3], raw_data=bytes(8))
    wrong["tensor 't' has 8 bytes, 12 are needed for its shape (3,)"] = using(short)
    wrong["has the shape (-1,)"] = using(onnx.TensorProto(data_type=1, dims=[-1], raw_data=b""))
    wrong["are needed for its shape (9000000000000000000, 9)"] = using(
        onnx.TensorProto(data_type=1, dims=[9 * 10**18, 9])
    )
    wrong["is in another file"] = using(onnx.TensorProto(data_type=1, dims=[1], data_location=1))
    wrong["has a value out of range"] = using(onnx.TensorProto(data_type=3, dims=[1], int32_data=[300]))
    for text, data in wrong.items():
        assert text in dumps.raises(MalformedModel, lambda data=data: source_of(data, {})), text


def using(value):
    return model([("Add", ["x", "t"], ["y"], {})], tensors={"t": value})


def case_damaged_files():
    """Every beginning of a model, and every byte of it changed: a model, or an error that says so."""
    good = using(np.ones(3, np.float32))
    for end in range(1, len(good)):
        with contextlib.suppress(MalformedModel):
            read_model(good[:end])
    for place in range(len(good)):
        for value in (0, 0x7F, 0xFF):
            damaged = good[:place] + bytes([value]) + good[place + 1 :]
            complaint = "op_type "
            try:
                source_of(damaged, {})
            except MalformedModel:
                continue
            except Exception as error:
                complaint = str(error)
            assert complaint.startswith("op_type "), complaint
    announced = bytes.fromhex("3affffffff0f")
    assert "are announced at byte 6, 0 are there" in dumps.raises(MalformedModel, lambda: read_model(announced))
    assert "too long" in dumps.raises(MalformedModel, lambda: read_model(b"\x08" + b"\xff" * 11))


def case_deep_files():
    """Messages inside each other, deeper than any model has them, are no recursion: unknown ones are skipped."""
    data = b""
    for _ in range(200):
        data = b"\x3a" + varint(len(data)) + data
    assert read_model(data)["graph"] == {}


def varint(value):
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def case_protobuf_classes():
    data = using(np.ones(3, np.float32))
    assert onnx.load_model_from_string(data).SerializeToString() == data
    assert onnx.TensorProto.DataType.Name(1) == "FLOAT"
    assert isinstance(onnx.ModelProto(), onnx.ModelProto)
    dumps.raises(AttributeError, lambda: onnx.NoSuchProto)
    assert isinstance(onnx, types.ModuleType)
    assert pathlib.Path(onnx.__file__).name == "__init__.py"
