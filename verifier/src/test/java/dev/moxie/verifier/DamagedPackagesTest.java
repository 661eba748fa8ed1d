package dev.moxie.verifier;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Exhaustive
class DamagedPackagesTest {
  @TempDir Path folder;
  private Path pack;

  @BeforeEach
  void convert() {
    pack = Packages.convert(Fixtures.randomMixtrals().getFirst(), folder.resolve("p"));
  }

  @Test
  void aLostShardIsNamed() throws IOException {
    Files.delete(pack.resolve("experts-L001.safetensors"));
    assertFinding("experts-L001.safetensors");
  }

  @Test
  void aShardCutShortIsNamed() throws IOException {
    Path shard = pack.resolve("experts-L002.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    Files.write(shard, java.util.Arrays.copyOf(bytes, bytes.length - 1));
    assertFinding("experts-L002.safetensors");
  }

  @Test
  void aFileThatNobodyListedIsNamed() throws IOException {
    Files.writeString(pack.resolve("source/evil.py"), "import os");
    assertFinding("source/evil.py");
  }

  @Test
  void aSymbolicLinkInPlaceOfAShardIsRefused() throws IOException {
    Path shard = pack.resolve("experts-L000.safetensors");
    Path elsewhere = folder.resolve("elsewhere");
    Files.move(shard, elsewhere);
    Files.createSymbolicLink(shard, elsewhere);
    String found = assertFinding("experts-L000.safetensors");
    assertTrue(found.contains("found a link"), found);
  }

  /** The package has its architecture from these keys. */
  @ParameterizedTest
  @ValueSource(strings = {"rope_theta", "model_type", "num_local_experts"})
  void aKeyThatTheArchitectureWasMadeFromWasNotIgnored(String key) throws IOException {
    rewriteManifest("\"ignoredConfigKeys\" : [ ]", "\"ignoredConfigKeys\" : [ \"" + key + "\" ]");
    String message = refusal();
    assertTrue(message.contains("ignoredConfigKeys") && message.contains(key), message);
  }

  @Test
  void aKeyThatConfigJsonLacksByItselfIsNotLaidToThoseThatWereIgnored() throws IOException {
    Path config = pack.resolve("source/config.json");
    byte[] before = Files.readAllBytes(config);
    byte[] after =
        new String(before, UTF_8).replace("\"hidden_size\"", "\"hidden_sign\"").getBytes(UTF_8);
    Files.write(config, after);
    rewriteManifest(Digests.sha256(before), Digests.sha256(after));
    rewriteManifest("\"ignoredConfigKeys\" : [ ]", "\"ignoredConfigKeys\" : [ \"use_cache\" ]");
    String message = refusal();
    assertTrue(message.startsWith(config + ": "), message);
    assertTrue(message.contains("key \"hidden_size\": expected a value, found none"), message);
    assertFalse(message.contains("the manifest is altered"), message);
  }

  private void rewriteManifest(String from, String to) throws IOException {
    Path manifest = pack.resolve("moxie.json");
    String text = Files.readString(manifest);
    assertTrue(text.contains(from), from);
    String body = text.substring(0, text.lastIndexOf("  \"sha256\"")).replace(from, to);
    Files.writeString(
        manifest, body + "  \"sha256\" : \"" + Digests.sha256(body.getBytes(UTF_8)) + "\"\n}\n");
  }

  private String refusal() {
    return String.valueOf(
        assertThrows(
                CorruptException.class,
                () -> Verifier.verify(pack, null, List.of(), Execution.of(Device.CPU)))
            .getMessage());
  }

  @Test
  void aDamagedPackageIsNotRun() throws IOException {
    Files.delete(pack.resolve("experts-L001.safetensors"));
    Report report =
        Verifier.verify(
            pack,
            Fixtures.randomMixtrals().getFirst(),
            List.of(Fixtures.randomMixtrals().getFirst().resolve("trace.safetensors")),
            Execution.of(Device.CPU));
    assertEquals(List.of(), report.references());
    assertTrue(report.notChecked().getFirst().contains("damaged"));
  }

  @Test
  void aChangedHeaderCopyIsFoundAgainstTheSource() throws IOException {
    // The conversion of another checkpoint whose tensors are the same, its metadata not.
    Path other = folder.resolve("c");
    Files.createDirectories(other);
    Path original = Fixtures.randomMixtrals().get(2);
    try (var files = Files.list(original)) {
      for (Path file : files.toList()) {
        Files.copy(file, other.resolve(file.getFileName().toString()));
      }
    }
    Path weights = other.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    String text = new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1);
    bytes[text.indexOf("\"pt\"") + 1] = 'q';
    Files.write(weights, bytes);
    Path wrong = Packages.convert(other, folder.resolve("q"));
    Report report = Verifier.verify(wrong, original, List.of(), Execution.of(Device.CPU));
    assertEquals(Verdict.FAIL, report.verdict());
    assertEquals(0, report.equivalence().different());
    assertEquals(
        "source/model.safetensors.header", report.equivalence().findings().getFirst().file());
  }

  @Test
  void aDamagedWeightIsNotComputedWith() throws IOException {
    Path shard = pack.resolve("experts-L001.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    bytes[5000] ^= 1;
    Files.write(shard, bytes);
    for (Execution execution : Execution.of(Device.CPU)) {
      try (MoxiePackage opened = MoxiePackage.open(pack)) {
        String message =
            assertThrows(
                    CorruptException.class,
                    () -> {
                      try (Model model = execution.open(opened, Device.CPU, new Unproven())) {
                        LoweringCheck.compare(
                            opened, model, dev.moxie.verifier.oracle.Precision.F32);
                      }
                    })
                .getMessage();
        assertTrue(message.contains("layers.1.experts.gate_up.weight (expert 0, gate)"), message);
      }
    }
  }

  @Test
  void aLinkToAPackageIsAsGoodAsThePackage() throws IOException {
    Path link = Files.createSymbolicLink(folder.resolve("link"), pack);
    Report report = Verifier.verify(link, null, List.of(), Execution.of(Device.CPU));
    assertEquals(Verdict.PASS, report.verdict());
  }

  @Test
  void aRecordedStepThatDiffersIsFoundAndNamed() throws IOException {
    Path original = Fixtures.randomMixtrals().getFirst().resolve("trace.safetensors");
    for (String step : List.of("moe.input", "router.logits", "router.weights", "moe.output")) {
      Path changed = folder.resolve("trace.safetensors");
      scaled(original, "layers.1." + step, changed);
      Report report = Verifier.verify(pack, null, List.of(changed), EnumSet.of(Execution.PLAIN));
      assertEquals(Verdict.FAIL, report.verdict(), step);
      String text = TextReport.of(report);
      assertTrue(text.contains("layers.1." + step + "  FAIL  at ["), text);
    }
  }

  private static void scaled(Path trace, String name, Path target) {
    try (SafetensorsFile file = SafetensorsFile.open(trace)) {
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      for (TensorInfo info : file.header().tensors()) {
        ByteBuffer data =
            ByteBuffer.wrap(file.data(info).toArray(ValueLayout.JAVA_BYTE))
                .order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; info.name().equals(name) && i < data.limit(); i += 4) {
          data.putFloat(i, 1.01f * data.getFloat(i));
        }
        tensors.add(new SafetensorsWriter.Tensor(info.name(), info.dtype(), info.shape(), data));
      }
      SafetensorsWriter.write(target, Map.of(), tensors);
    }
  }

  @Test
  void expertsThatNoReferenceChoosesAreNamed() {
    Path checkpoint = Fixtures.tinyMixtral();
    Report report =
        Verifier.verify(
            Packages.convert(checkpoint, folder.resolve("t")),
            null,
            List.of(Fixtures.traces(Fixtures.tinyMixtral()).getFirst()),
            EnumSet.of(Execution.PLAIN));
    assertTrue(
        report.notChecked().stream().anyMatch(item -> item.contains("layer 1 expert 4")),
        report.notChecked().toString());
  }

  private String assertFinding(String file) {
    Report report = Verifier.verify(pack, null, List.of(), Execution.of(Device.CPU));
    assertEquals(Verdict.FAIL, report.verdict());
    assertEquals(file, report.integrity().findings().getFirst().file());
    return report.integrity().findings().getFirst().problem();
  }
}
