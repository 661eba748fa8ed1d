package dev.moxie.runtime.lowering;

import ai.onnx.proto.OnnxMl;
import com.google.protobuf.ByteString;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * An ONNX graph under construction: names for intermediate values, initializers that point into
 * shards, and the model around it all.
 */
final class Graph {
  /** The default operator set: 23 brought RotaryEmbedding and RMSNormalization. */
  private static final int OPSET = 23;

  private static final int IR_VERSION = 11;
  private static final String MICROSOFT = "com.microsoft";

  private final OnnxMl.GraphProto.Builder graph;
  private final Set<String> inputs = new HashSet<>();
  private final Set<String> initializers = new HashSet<>();
  private int values;

  Graph(String name) {
    this.graph = OnnxMl.GraphProto.newBuilder().setName(name);
  }

  /** The ONNX number of a dtype. */
  static int type(Dtype dtype) {
    return switch (dtype) {
      case F32 -> OnnxMl.TensorProto.DataType.FLOAT.getNumber();
      case F16 -> OnnxMl.TensorProto.DataType.FLOAT16.getNumber();
      case BF16 -> OnnxMl.TensorProto.DataType.BFLOAT16.getNumber();
      case F8_E4M3 -> OnnxMl.TensorProto.DataType.FLOAT8E4M3FN.getNumber();
      case I64 -> OnnxMl.TensorProto.DataType.INT64.getNumber();
      case I32 -> OnnxMl.TensorProto.DataType.INT32.getNumber();
      case I8 -> OnnxMl.TensorProto.DataType.INT8.getNumber();
      case U8 -> OnnxMl.TensorProto.DataType.UINT8.getNumber();
      default ->
          throw new UnsupportedException(
              "lowering",
              "F32, F16, BF16, F8_E4M3, I8, U8, I32 or I64",
              dtype.toString(),
              "this build does not execute that dtype");
    };
  }

  /**
   * Declares an input; extents are numbers, or names for what varies. Declaring a name again
   * returns the first declaration.
   */
  String input(String name, Dtype dtype, Object... shape) {
    if (inputs.add(name)) {
      graph.addInput(valueInfo(name, dtype, shape));
    }
    return name;
  }

  /** Declares an output under the name it already has. */
  void output(String name, Dtype dtype, Object... shape) {
    graph.addOutput(valueInfo(name, dtype, shape));
  }

  private static OnnxMl.ValueInfoProto valueInfo(String name, Dtype dtype, Object... shape) {
    var dims = OnnxMl.TensorShapeProto.newBuilder();
    for (Object extent : shape) {
      var dim = dims.addDimBuilder();
      if (extent instanceof Number n) {
        dim.setDimValue(n.longValue());
      } else {
        dim.setDimParam(extent.toString());
      }
    }
    return OnnxMl.ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            OnnxMl.TypeProto.newBuilder()
                .setTensorType(
                    OnnxMl.TypeProto.Tensor.newBuilder().setElemType(type(dtype)).setShape(dims)))
        .build();
  }

  /**
   * A constant whose bytes lie in a file beside the package's manifest. Declaring a name again
   * returns the first declaration.
   */
  String external(
      String name, Dtype dtype, List<Long> shape, String file, long offset, long bytes) {
    if (initializers.add(name)) {
      graph.addInitializer(
          OnnxMl.TensorProto.newBuilder()
              .setName(name)
              .setDataType(type(dtype))
              .addAllDims(shape)
              .setDataLocation(OnnxMl.TensorProto.DataLocation.EXTERNAL)
              .addExternalData(entry("location", file))
              .addExternalData(entry("offset", Long.toString(offset)))
              .addExternalData(entry("length", Long.toString(bytes))));
    }
    return name;
  }

  private static OnnxMl.StringStringEntryProto entry(String key, String value) {
    return OnnxMl.StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  /** A small int64 vector. */
  String longs(long... numbers) {
    return constant(Dtype.I64, vector(numbers.length).addAllInt64Data(list(numbers)));
  }

  /** An int64 scalar. */
  String whole(long number) {
    return constant(Dtype.I64, vector().addInt64Data(number));
  }

  /** A small float32 vector. */
  String floats(float... numbers) {
    OnnxMl.TensorProto.Builder vector = vector(numbers.length);
    for (float number : numbers) {
      vector.addFloatData(number);
    }
    return constant(Dtype.F32, vector);
  }

  /** A float32 scalar. */
  String number(float number) {
    return constant(Dtype.F32, vector().addFloatData(number));
  }

  /** A uint8 scalar. */
  String octet(int number) {
    return constant(Dtype.U8, vector().addInt32Data(number));
  }

  private static OnnxMl.TensorProto.Builder vector(long... shape) {
    return OnnxMl.TensorProto.newBuilder().addAllDims(list(shape));
  }

  private static List<Long> list(long... numbers) {
    return Arrays.stream(numbers).boxed().toList();
  }

  private String constant(Dtype dtype, OnnxMl.TensorProto.Builder numbers) {
    String name = "const_" + values++;
    graph.addInitializer(numbers.setName(name).setDataType(type(dtype)));
    return name;
  }

  /** A float32 vector of one, as an attribute takes it. */
  private static OnnxMl.TensorProto tensor(float value) {
    return vector(1).setDataType(type(Dtype.F32)).addFloatData(value).build();
  }

  /** Adds a standard operator with several outputs and returns those. */
  List<String> nodes(
      String op, List<String> inputs, int count, OnnxMl.AttributeProto... attributes) {
    List<String> outputs = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      outputs.add(op.toLowerCase(Locale.ROOT) + "_" + values++);
    }
    node("", op, inputs, outputs, attributes);
    return outputs;
  }

  /** Adds a standard operator with one output and returns that. */
  String node(String op, List<String> inputs, OnnxMl.AttributeProto... attributes) {
    return nodes(op, inputs, 1, attributes).getFirst();
  }

  /** The same numbers in another shape; −1 stands for what is left. */
  String reshape(String x, long... shape) {
    return node("Reshape", List.of(x, longs(shape)));
  }

  /** The same numbers in another shape. */
  String reshape(String x, Shape shape) {
    return reshape(x, shape.dims().stream().mapToLong(Long::longValue).toArray());
  }

  /** The axes of a value in another order. */
  String transpose(String x, long... axes) {
    return node("Transpose", List.of(x), attribute("perm", list(axes)));
  }

  /** Two values one after the other along an axis. */
  String concat(String a, String b, int axis) {
    return node("Concat", List.of(a, b), attribute("axis", axis));
  }

  /** The parts of a value along an axis. */
  List<String> split(String x, int axis, long... sizes) {
    return nodes("Split", List.of(x, longs(sizes)), sizes.length, attribute("axis", axis));
  }

  /** Entries {@code from} to below {@code to} along an axis. */
  String slice(String x, int axis, long from, long to) {
    return node("Slice", List.of(x, longs(from), longs(to), longs(axis)));
  }

  /** A float32 tensor of a shape that a value has, all of one number. */
  String filled(String shape, float number) {
    return node("ConstantOfShape", List.of(shape), attribute("value", tensor(number)));
  }

  /** The value in another dtype, where it has another. */
  String cast(String x, Dtype from, Dtype to) {
    return from == to ? x : node("Cast", List.of(x), attribute("to", type(to)));
  }

  /** Adds an operator of ONNX Runtime's own domain. */
  void contrib(
      String op, List<String> inputs, List<String> outputs, OnnxMl.AttributeProto... attributes) {
    node(MICROSOFT, op, inputs, outputs, attributes);
  }

  /** Adds a standard operator whose outputs have names already. */
  void standard(
      String op, List<String> inputs, List<String> outputs, OnnxMl.AttributeProto... attributes) {
    node("", op, inputs, outputs, attributes);
  }

  private void node(
      String domain,
      String op,
      List<String> inputs,
      List<String> outputs,
      OnnxMl.AttributeProto... attributes) {
    graph.addNode(
        OnnxMl.NodeProto.newBuilder()
            .setName(op + "_" + values++)
            .setDomain(domain)
            .setOpType(op)
            .addAllInput(inputs)
            .addAllOutput(outputs)
            .addAllAttribute(List.of(attributes)));
  }

  static OnnxMl.AttributeProto attribute(String name, long value) {
    return attribute(name, OnnxMl.AttributeProto.AttributeType.INT).setI(value).build();
  }

  static OnnxMl.AttributeProto attribute(String name, float value) {
    return attribute(name, OnnxMl.AttributeProto.AttributeType.FLOAT).setF(value).build();
  }

  static OnnxMl.AttributeProto attribute(String name, String value) {
    return attribute(name, OnnxMl.AttributeProto.AttributeType.STRING)
        .setS(ByteString.copyFromUtf8(value))
        .build();
  }

  private static OnnxMl.AttributeProto attribute(String name, List<Long> values) {
    return attribute(name, OnnxMl.AttributeProto.AttributeType.INTS).addAllInts(values).build();
  }

  private static OnnxMl.AttributeProto attribute(String name, OnnxMl.TensorProto value) {
    return attribute(name, OnnxMl.AttributeProto.AttributeType.TENSOR).setT(value).build();
  }

  private static OnnxMl.AttributeProto.Builder attribute(
      String name, OnnxMl.AttributeProto.AttributeType type) {
    return OnnxMl.AttributeProto.newBuilder().setName(name).setType(type);
  }

  /** The first bytes of every model: fields are written in the order of their numbers. */
  static byte[] start() {
    return begin().buildPartial().toByteArray();
  }

  private static OnnxMl.ModelProto.Builder begin() {
    return OnnxMl.ModelProto.newBuilder().setIrVersion(IR_VERSION).setProducerName("moxie");
  }

  OnnxMl.ModelProto model() {
    return begin()
        .addOpsetImport(OnnxMl.OperatorSetIdProto.newBuilder().setDomain("").setVersion(OPSET))
        .addOpsetImport(OnnxMl.OperatorSetIdProto.newBuilder().setDomain(MICROSOFT).setVersion(1))
        .setGraph(graph)
        .build();
  }
}
