package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.Packages;
import dev.moxie.verifier.Verifier;
import dev.moxie.verifier.report.Verdict;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecordedTest {
  private static final Path CHECKPOINT = Fixtures.root().resolve("random/granitemoeshared");

  @TempDir private Path folder;

  @Test
  void aBlockBesideWhichSharedExpertsStandIsNoFault() {
    Path trace = folder.resolve("trace.safetensors");
    try (SafetensorsFile file = SafetensorsFile.open(Fixtures.traces(CHECKPOINT).getFirst())) {
      Map<String, byte[]> values = new HashMap<>();
      file.header()
          .tensors()
          .forEach(i -> values.put(i.name(), file.data(i).toArray(ValueLayout.JAVA_BYTE)));
      List<Tensor> tensors =
          file.header().tensors().stream()
              .map(i -> new Tensor(i.name(), i.dtype(), i.shape(), routed(values, i.name())))
              .toList();
      SafetensorsWriter.write(trace, Map.of(), tensors);
    }
    Path pack = Packages.convert(CHECKPOINT, folder.resolve("p"));
    try (MoxiePackage opened = MoxiePackage.open(pack);
        Trace routed = Trace.open(trace);
        Trace whole = Trace.open(Fixtures.traces(CHECKPOINT).getFirst())) {
      assertEquals(
          List.of(false, true),
          List.of(
              new Recorded(routed, opened.architecture()).has(1, Step.MOE_OUTPUT),
              new Recorded(whole, opened.architecture()).has(1, Step.MOE_OUTPUT)));
    }
    assertEquals(
        Verdict.PASS,
        Verifier.verify(pack, null, List.of(trace), EnumSet.of(Execution.PLAIN)).verdict());
  }

  /** For the output of a block what its routed experts make. */
  private static ByteBuffer routed(Map<String, byte[]> values, String name) {
    return ByteBuffer.wrap(values.get(name.replace("moe.output", "experts.output")));
  }
}
