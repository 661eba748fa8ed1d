package dev.moxie.runtime.lowering;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.Packages;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Graphs change when somebody means to change them: a new digest is a decision. */
class GraphDigestsTest {
  /** One line for each graph: the digest of its {@link CanonicalGraph}, checkpoint and target. */
  private static final String RECORDED = "graphs.sha256";

  private static final Map<String, Target> TARGETS =
      new TreeMap<>(
          Map.of(
              "cpu", Target.CPU,
              "cuda", Target.CUDA,
              "narrow", new Target(Dtype.F32, 16, true, false)));

  @TempDir private Path folder;

  @Test
  void graphsAreThoseThatWereRecorded() throws IOException {
    var lines = new StringBuilder();
    for (Path checkpoint : Fixtures.all()) {
      String name = Fixtures.root().relativize(checkpoint).toString().replace('\\', '/');
      try (MoxiePackage pack =
          Packages.convert(checkpoint, folder.resolve(name.replace('/', '-')))) {
        TARGETS.forEach((form, target) -> add(lines, new Lowering(pack, target), name, form));
        add(lines, Lowering.permuted(pack, Target.CPU), name, "cpu-permuted");
      }
    }
    Path file =
        Fixtures.root()
            .resolveSibling("runtime-gpu/src/test/resources/dev/moxie/runtime/lowering")
            .resolve(RECORDED);
    if (Boolean.getBoolean("moxie.rewrite")) {
      Files.writeString(file, lines);
    }
    assertEquals(
        Files.readString(file), lines.toString(), "record them anew with -Dmoxie.rewrite=true");
  }

  private static void add(StringBuilder lines, Lowering lowering, String name, String form) {
    lines.append(digest(lowering)).append("  ").append(name).append(' ').append(form);
    lines.append('\n');
  }

  private static String digest(Lowering lowering) {
    try {
      return Digests.sha256(CanonicalGraph.of(lowering.wholeModel()).toByteArray());
    } catch (UnsupportedException e) {
      return "refused";
    }
  }
}
