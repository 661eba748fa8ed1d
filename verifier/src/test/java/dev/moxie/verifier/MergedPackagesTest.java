package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.adapter.LoraAdapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.verifier.equivalence.EquivalenceCheck;
import dev.moxie.verifier.report.Report;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A package that an adapter was merged into is held to checkpoint and adapter, and to no other. */
class MergedPackagesTest {
  private static final Path MIXTRAL = Fixtures.root().resolve("random/mixtral");
  private static final Path ADAPTER = Fixtures.root().resolve("adapters/mixtral");

  @TempDir private Path folder;

  @Exhaustive
  @ParameterizedTest
  @ValueSource(strings = {"phimoe", "mixtral", "gpt_oss", "deepseek_v3"})
  void everyElementIsWithinTheBoundOfItsSum(String name) {
    Path base = Fixtures.root().resolve("random").resolve(name);
    Path adapter = Fixtures.root().resolve("adapters").resolve(name);
    Conversion conversion = new Conversion(Set.of(), Conversion.Prediction.DROP, null);
    try (MoxiePackage pack = merge(base, adapter, conversion)) {
      assertPassed(EquivalenceCheck.run(pack, base, adapter));
    }
  }

  @Exhaustive
  @ParameterizedTest
  @ValueSource(strings = {"F32", "int8_channel", "int4_block_32", "mxfp4"})
  void otherFormsAreHeldToTheSumsToo(String form) {
    Conversion conversion =
        form.equals("F32")
            ? new Conversion(
                Set.of(), null, new Manifest.Cast(Dtype.F32, Manifest.Rounding.NEAREST_EVEN))
            : new Conversion(
                Set.of(),
                null,
                null,
                new Manifest.Quantisation(
                    form, Manifest.Matrices.EXPERTS, Quantiser.Method.NEAREST),
                Manifest.Layout.PLAIN);
    try (MoxiePackage pack = merge(MIXTRAL, ADAPTER, conversion)) {
      assertPassed(EquivalenceCheck.run(pack, MIXTRAL, ADAPTER));
    }
  }

  private static void assertPassed(Report.Equivalence report) {
    assertTrue(report.verdict().passed(), report.findings().toString());
    assertTrue(report.withinBound() > 0);
    assertEquals(0, report.different() + report.missing() + report.extra());
  }

  @Test
  void withoutTheAdapterNothingIsSaid() {
    try (MoxiePackage pack = merge(MIXTRAL, ADAPTER, Conversion.LOSSLESS)) {
      String message =
          String.valueOf(
              assertThrows(UsageException.class, () -> EquivalenceCheck.run(pack, MIXTRAL))
                  .getMessage());
      assertTrue(message.contains("--adapter"), message);
    }
    try (MoxiePackage plain = merge(MIXTRAL, null, Conversion.LOSSLESS)) {
      assertThrows(UsageException.class, () -> EquivalenceCheck.run(plain, MIXTRAL, ADAPTER));
    }
  }

  @Test
  void anAdapterOfAnotherScaleIsFound() throws IOException {
    Path other = Files.createDirectory(folder.resolve("other"));
    Files.copy(
        ADAPTER.resolve("adapter_model.safetensors"), other.resolve("adapter_model.safetensors"));
    Files.writeString(
        other.resolve("adapter_config.json"),
        Files.readString(ADAPTER.resolve("adapter_config.json"))
            .replace("\"lora_alpha\": 3", "\"lora_alpha\": 6"));
    try (MoxiePackage pack = merge(MIXTRAL, ADAPTER, Conversion.LOSSLESS)) {
      Report.Equivalence report = EquivalenceCheck.run(pack, MIXTRAL, other);
      assertFalse(report.verdict().passed());
      assertTrue(report.different() > 0);
      assertTrue(report.findings().stream().anyMatch(f -> "provenance.adapter".equals(f.tensor())));
    }
  }

  /** The next number of the dtype is not what the sum rounds to. */
  @ParameterizedTest
  @ValueSource(ints = {-1, 1})
  void anElementThatIsOneStepOffIsFound(int step) throws IOException {
    IndexRow row;
    Path file;
    try (MoxiePackage pack = merge(MIXTRAL, ADAPTER, Conversion.LOSSLESS)) {
      row =
          pack.rows().stream()
              .filter(r -> r.describe().equals("layers.2.experts.down.weight (expert 5, down)"))
              .findFirst()
              .orElseThrow();
      file = pack.folder().resolve(Objects.requireNonNull(row.shard()));
    }
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer bits = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN);
      channel.read(bits, row.offset() + 200);
      bits.putShort(0, (short) (bits.getShort(0) + step)).clear();
      channel.write(bits, row.offset() + 200);
    }
    try (MoxiePackage pack = MoxiePackage.open(folder.resolve("p"))) {
      Report.Equivalence report = EquivalenceCheck.run(pack, MIXTRAL, ADAPTER);
      assertEquals(1, report.different());
      assertTrue(
          report.findings().getFirst().toString().contains("byte 200"),
          report.findings().toString());
    }
  }

  private MoxiePackage merge(Path base, @Nullable Path adapter, Conversion conversion) {
    Path target = folder.resolve("p");
    Executor.execute(
        Planner.plan(
                Checkpoint.open(base),
                conversion,
                adapter == null ? null : LoraAdapter.open(adapter))
            .contents(),
        target,
        new Manifest.Producer("test", "0"),
        2,
        true,
        Progress.NONE);
    return MoxiePackage.open(target);
  }
}
