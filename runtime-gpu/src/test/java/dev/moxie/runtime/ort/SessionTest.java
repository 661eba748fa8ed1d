package dev.moxie.runtime.ort;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.execution.NativeLibraries;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A library's functions are taken by their places in a table. Here each does what its name says, on
 * {@code sum} = {@code a} + {@code b}, or complains in words of its own.
 */
class SessionTest {
  private static final int EXTENT = 3;

  private static Environment environment;

  private final Arena arena = Arena.ofAuto();

  @BeforeAll
  static void start() {
    environment =
        NativeLibraries.start(
            "ONNX Runtime",
            folder -> {
              EngineJar.unpack("onnxruntime", folder);
              return Environment.start(folder.resolve(System.mapLibraryName("onnxruntime")), 1);
            });
  }

  private static OnnxMl.ModelProto sum(ElementType type) {
    BiFunction<String, ElementType, OnnxMl.ValueInfoProto> value =
        (name, of) ->
            OnnxMl.ValueInfoProto.newBuilder()
                .setName(name)
                .setType(
                    OnnxMl.TypeProto.newBuilder()
                        .setTensorType(
                            OnnxMl.TypeProto.Tensor.newBuilder()
                                .setElemType(of.number())
                                .setShape(
                                    OnnxMl.TensorShapeProto.newBuilder()
                                        .addDim(
                                            OnnxMl.TensorShapeProto.Dimension.newBuilder()
                                                .setDimValue(EXTENT)))))
                .build();
    return OnnxMl.ModelProto.newBuilder()
        .setIrVersion(11)
        .addOpsetImport(OnnxMl.OperatorSetIdProto.newBuilder().setVersion(23))
        .setGraph(
            OnnxMl.GraphProto.newBuilder()
                .setName("sum")
                .addInput(value.apply("a", type))
                .addInput(value.apply("b", type))
                .addOutput(value.apply("sum", type))
                .addNode(
                    OnnxMl.NodeProto.newBuilder()
                        .setOpType("Add")
                        .addAllInput(List.of("a", "b"))
                        .addOutput("sum")))
        .build();
  }

  private static Session open(byte[] graph) {
    try (SessionOptions options = environment.options()) {
      return environment.session(graph, options, "graph sum");
    }
  }

  private MemorySegment floats(float... values) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, values);
  }

  private static float[] values(MemorySegment floats) {
    return floats.toArray(ValueLayout.JAVA_FLOAT);
  }

  private static void bindInput(Binding binding, String name, MemorySegment floats) {
    try (MemoryInfo host = environment.memory(MemoryInfo.Kind.HOST);
        Tensor tensor = host.tensor(floats, ElementType.FLOAT, EXTENT)) {
      binding.input(name, tensor);
    }
  }

  private static void bindOutput(Binding binding, MemorySegment floats) {
    try (MemoryInfo host = environment.memory(MemoryInfo.Kind.HOST);
        Tensor tensor = host.tensor(floats, ElementType.FLOAT, EXTENT)) {
      binding.output("sum", tensor);
    }
  }

  @Test
  void whatIsBoundIsReadWhereItLiesAtEachRunAndMayBeReplaced() {
    MemorySegment a = floats(1, 2, 3);
    MemorySegment sum = floats(0, 0, 0);
    try (Session session = open(sum(ElementType.FLOAT).toByteArray());
        Binding binding = session.binding();
        RunOptions options = environment.runOptions()) {
      options.set("disable_synchronize_execution_providers", "1");
      bindInput(binding, "a", a);
      bindInput(binding, "b", floats(10, 20, 30));
      bindOutput(binding, sum);
      binding.run(options);
      assertArrayEquals(new float[] {11, 22, 33}, values(sum));
      a.set(ValueLayout.JAVA_FLOAT, 0, 5);
      binding.run(options);
      assertArrayEquals(new float[] {15, 22, 33}, values(sum));
      bindInput(binding, "b", floats(0, 0, 1));
      binding.run(options);
      assertArrayEquals(new float[] {5, 2, 4}, values(sum));
    }
  }

  /** As a cache is the past and the present. */
  @Test
  void anOutputMayBeTheMemoryOfAnInput() {
    MemorySegment a = floats(1, 2, 3);
    try (Session session = open(sum(ElementType.FLOAT).toByteArray());
        Binding binding = session.binding();
        RunOptions options = environment.runOptions()) {
      bindInput(binding, "a", a);
      bindInput(binding, "b", a);
      bindOutput(binding, a);
      binding.run(options);
      binding.run(options);
      assertArrayEquals(new float[] {4, 8, 12}, values(a));
    }
  }

  @ParameterizedTest
  @EnumSource
  void tensorsAreOfTheTypeAndTheSizeThatAreSaid(ElementType type) {
    MemorySegment room = arena.allocate((long) EXTENT * type.bytes());
    try (Session session = open(sum(type).toByteArray());
        Binding binding = session.binding();
        RunOptions options = environment.runOptions();
        MemoryInfo host = environment.memory(MemoryInfo.Kind.HOST);
        Tensor tensor = host.tensor(room, type, EXTENT)) {
      assertEquals(OnnxMl.TensorProto.DataType.forNumber(type.number()).name(), type.name());
      binding.input("a", tensor);
      binding.input("b", tensor);
      binding.output("sum", tensor);
      binding.run(options);
      assertThrows(IllegalArgumentException.class, () -> host.tensor(room, type, EXTENT + 1));
    }
  }

  @Test
  void whatTheLibraryRefusesIsASentence() {
    assertRefused("loading graph sum", "protobuf", () -> open(new byte[] {1, 2, 3}));
    OnnxMl.ModelProto.Builder graph = sum(ElementType.FLOAT).toBuilder();
    graph.getGraphBuilder().getNodeBuilder(0).setOpType("Sums");
    assertRefused("loading graph sum", "Sums", () -> open(graph.build().toByteArray()));
  }

  @Test
  void aRunThatFailsIsASentence() {
    try (Session session = open(sum(ElementType.FLOAT).toByteArray());
        Binding binding = session.binding();
        RunOptions options = environment.runOptions()) {
      bindInput(binding, "a", floats(1, 2, 3));
      bindOutput(binding, floats(0, 0, 0));
      assertRefused("running a graph", "Missing Input: b", () -> binding.run(options));
      assertRefused("binding c", "c", () -> bindInput(binding, "c", floats(1, 2, 3)));
    }
  }

  @Test
  void anOptionThatIsNoneIsASentence() {
    try (SessionOptions options = environment.options();
        RunOptions run = environment.runOptions()) {
      assertRefused("choosing options of a session", "key", () -> options.set("", "x"));
      assertRefused("choosing options of a run", "key", () -> run.set("", "x"));
    }
  }

  @Test
  void theLibraryForTheCpuSaysThatItHasNoCuda() {
    try (SessionOptions options = environment.options()) {
      Optional<String> reason = options.addCuda(Map.of("device_id", "0"), null);
      assertTrue(reason.orElseThrow().contains("CUDA"), reason.toString());
    }
  }

  @Test
  void whatWasClosedIsNotUsedAndClosedAgainWithoutHarm() {
    Session session = open(sum(ElementType.FLOAT).toByteArray());
    session.close();
    session.close();
    assertEquals(
        "Session was closed",
        assertThrows(IllegalStateException.class, session::binding).getMessage());
  }

  private static void assertRefused(String where, String found, Executable call) {
    String message = assertThrows(EnvironmentException.class, call).getMessage();
    assertTrue(message.startsWith(where + ": expected ONNX Runtime to do it, found "), message);
    assertTrue(message.contains(found), message);
  }
}
