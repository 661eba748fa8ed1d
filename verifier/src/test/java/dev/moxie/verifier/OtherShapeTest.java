package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.AnnotationReport;
import dev.moxie.verifier.report.JUnitReport;
import dev.moxie.verifier.report.JsonReport;
import dev.moxie.verifier.report.MarkdownReport;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.report.html.HtmlReport;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A reference of a model of another shape was read, and differs: that is a verdict. */
@Exhaustive
class OtherShapeTest {
  private static final Path CHECKPOINT = Fixtures.randomMixtrals().getFirst();

  @TempDir Path folder;
  private Path pack;

  @BeforeEach
  void convert() throws IOException {
    pack = folder.resolve("p");
    Packages.convert(CHECKPOINT, pack);
  }

  static Stream<Arguments> shapes() {
    return Stream.of(
        shape("layers: ", t -> t.name().startsWith("layers.2.") ? null : t),
        shape("the hidden size: ", t -> t.name().matches(".*put") ? wider(t) : t),
        shape("the vocabulary: ", t -> t.name().equals("logits") ? wider(t) : t),
        shape("experts: ", t -> t.name().endsWith("router.logits") ? wider(t) : t),
        shape("experts per token: ", t -> t.name().matches(".*router.[ew].*") ? wider(t) : t),
        shape("with experts in the package", t -> t.name().contains("0.router.") ? null : t));
  }

  private static Arguments shape(String sentence, UnaryOperator<@Nullable Tensor> change) {
    return Arguments.of(sentence, change);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("shapes")
  void aTraceOfAnotherShapeIsADifferenceInEveryForm(
      String sentence, UnaryOperator<@Nullable Tensor> change) {
    Report report = verify(change);
    assertEquals(Verdict.FAIL, report.verdict());
    List<String> differences = report.unlike().getFirst().differences();
    assertTrue(differences.getFirst().startsWith(sentence), differences.toString());
    for (String form :
        List.of(
            TextReport.of(report),
            JsonReport.of(report),
            HtmlReport.of(report, null),
            JUnitReport.of(report),
            MarkdownReport.of(report),
            AnnotationReport.of(report))) {
      assertTrue(form.contains(sentence), form);
    }
  }

  @Test
  void aTraceThatLacksWhatItMustHaveIsCorruptAllTheSame() {
    assertThrows(CorruptException.class, () -> verify(t -> t.name().equals("logits") ? null : t));
  }

  @Test
  void aTraceWithoutALayerInItsMiddleIsDamagedAndNotOfFewerLayers() {
    String message =
        assertThrows(
                CorruptException.class,
                () -> verify(t -> t.name().startsWith("layers.1.") ? null : t))
            .getMessage();
    assertTrue(String.valueOf(message).contains("layers.1.input"), message);
  }

  private Report verify(UnaryOperator<@Nullable Tensor> change) {
    Path trace = folder.resolve("trace.safetensors");
    List<Tensor> tensors = new ArrayList<>();
    try (SafetensorsFile file = SafetensorsFile.open(Fixtures.traces(CHECKPOINT).getFirst())) {
      file.header()
          .tensors()
          .forEach(
              info -> {
                byte[] bytes = file.data(info).toArray(ValueLayout.JAVA_BYTE);
                Tensor changed =
                    change.apply(
                        new Tensor(
                            info.name(), info.dtype(), info.shape(), ByteBuffer.wrap(bytes)));
                if (changed != null) {
                  tensors.add(changed);
                }
              });
    }
    SafetensorsWriter.write(trace, Map.of(), tensors);
    return Verifier.verify(pack, null, List.of(trace), EnumSet.of(Execution.PLAIN));
  }

  /** The same matrix with a column more, of zeros. */
  private static Tensor wider(Tensor tensor) {
    Shape shape = Shape.of(tensor.shape().dim(0), tensor.shape().dim(1) + 1);
    int bytes = Math.toIntExact(shape.bytes(tensor.dtype()));
    return new Tensor(tensor.name(), tensor.dtype(), shape, ByteBuffer.allocate(bytes));
  }
}
