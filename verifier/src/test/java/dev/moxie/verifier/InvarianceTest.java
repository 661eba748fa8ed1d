package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.report.Words;
import dev.moxie.verifier.routing.DecisionFiles;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What must leave logits as they are does so in every execution, without any reference. */
@Exhaustive
class InvarianceTest {
  @TempDir Path folder;

  static List<Path> checkpoints() {
    return Stream.concat(Fixtures.all().stream(), Stream.of(Fixtures.shortChunks())).toList();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void expertsMayChangePlacesAndSequencesMayBeCut(Path checkpoint) {
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Report report =
        Verifier.verify(
            pack,
            null,
            List.of(),
            null,
            Running.onCpu(Execution.of(Device.CPU)),
            DecisionFiles.NONE,
            true,
            Scope.all());
    assertEquals(Verdict.PASS, report.verdict(), () -> TextReport.of(report));
    Report.Invariance invariance = report.invariance();
    assertTrue(invariance.judged() > invariance.tokens() / 2, () -> TextReport.of(report));
    assertTrue(
        invariance.executions().get("plain").containsKey("experts in another order"),
        () -> TextReport.of(report));
  }

  /** As an implementation would that routes to places and not to what stands there. */
  @Test
  void expertsThatDoNotGoWithTheirRouterRowsAreFound() {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    Path swapped =
        Packages.convert(
            checkpoint,
            folder.resolve("swapped"),
            WrongPlans.renamed(name -> WrongPlans.swap(name, "experts.0.", "experts.1.")));
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")));
        MoxiePackage other = MoxiePackage.open(swapped);
        Model model = PlainModel.open(pack, new Unproven());
        Model wrong = PlainModel.open(other, new Unproven())) {
      assertEquals(List.of("experts in another order"), failing(pack, model, wrong));
    }
  }

  /** Tokens that do not see those that were given before them. */
  @Test
  void aModelThatForgetsIsFound() {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")));
        Model model = PlainModel.open(pack, new Unproven())) {
      assertEquals(
          List.of("one token at a time", "5 tokens at a time"),
          failing(pack, new Forgetful(model), model));
    }
  }

  /** Tokens that see those after them: of a sequence given at once, the last in place of each. */
  @Test
  void aModelThatSeesWhatIsToComeIsFound() {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(checkpoint, folder.resolve("p")));
        Model model = PlainModel.open(pack, new Unproven())) {
      List<String> failing = failing(pack, new Foreseeing(model), model);
      assertTrue(failing.contains("the first 12 tokens alone"), failing::toString);
    }
  }

  /** The other implementation's own logits, its experts in another order, lie beside its others. */
  @ParameterizedTest
  @CsvSource({"1, PASS", "1.00390625, FAIL"})
  void aReferenceIsHeldToItselfWhereItSaysSo(float factor, Verdict verdict) {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    Path trace = folder.resolve("trace.safetensors");
    permuted(Fixtures.traces(checkpoint).getFirst(), factor, trace);
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Report report = Verifier.verify(pack, null, List.of(trace), EnumSet.of(Execution.PLAIN));
    assertEquals(verdict, report.verdict());
    String text = TextReport.of(report);
    assertTrue(text.contains("invariant  " + Words.of(verdict)), text);
    assertEquals(verdict == Verdict.FAIL, text.contains("runs other experts than it chooses"));
  }

  @Test
  void transformersPermutedIsStillItself() {
    Path pack = Packages.convert(Fixtures.shortChunks(), folder.resolve("p"));
    List<Path> traces = Fixtures.traces(Fixtures.shortChunks());
    Report report = Verifier.verify(pack, null, traces, EnumSet.of(Execution.PLAIN));
    assertEquals(Verdict.PASS, report.verdict(), () -> TextReport.of(report));
    assertTrue(TextReport.of(report).contains("invariant  pass  the reference's experts"));
  }

  private static void permuted(Path trace, float factor, Path target) {
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    try (SafetensorsFile file = SafetensorsFile.open(trace)) {
      for (TensorInfo info : file.header().tensors()) {
        byte[] bytes = file.data(info).toArray(ValueLayout.JAVA_BYTE);
        tensors.add(tensor(info.name(), info, ByteBuffer.wrap(bytes)));
        if (info.name().equals("logits")) {
          ByteBuffer logits = ByteBuffer.wrap(bytes.clone()).order(ByteOrder.LITTLE_ENDIAN);
          for (int i = 0; i < bytes.length; i += Float.BYTES) {
            logits.putFloat(i, factor * logits.getFloat(i));
          }
          tensors.add(tensor("permuted.logits", info, logits));
        }
      }
    }
    SafetensorsWriter.write(target, Map.of(), tensors);
  }

  private static SafetensorsWriter.Tensor tensor(String name, TensorInfo like, ByteBuffer data) {
    return new SafetensorsWriter.Tensor(name, like.dtype(), like.shape(), data);
  }

  private static List<String> failing(MoxiePackage pack, Model model, Model permuted) {
    return new InvarianceCheck(pack, Running.onCpu(EnumSet.of(Execution.PLAIN)), new ArrayList<>())
        .compare(model, permuted).entrySet().stream()
            .filter(way -> !way.getValue().verdict().passed())
            .map(Map.Entry::getKey)
            .toList();
  }

  /** Begins anew with whatever is given at once. */
  private record Forgetful(Model of) implements Model {
    @Override
    public void begin(int capacity) {
      of.begin(capacity);
    }

    @Override
    public float[] append(long[] ids) {
      of.begin(ids.length);
      return of.append(ids);
    }

    @Override
    public int length() {
      return of.length();
    }

    @Override
    public void close() {}
  }

  /** Reads what is given at once from its end. */
  private record Foreseeing(Model of) implements Model {
    @Override
    public void begin(int capacity) {
      of.begin(capacity);
    }

    @Override
    public float[] append(long[] ids) {
      long[] reversed = ids.clone();
      for (int i = 0; i < ids.length; i++) {
        reversed[i] = ids[ids.length - 1 - i];
      }
      return of.append(reversed);
    }

    @Override
    public int length() {
      return of.length();
    }

    @Override
    public void close() {}
  }
}
