package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A name in a model must not write the window's title, or a line of its own. */
class SafeToPrintTest {
  private static final String HOSTILE = "\u001b]0;x\u0007\n::error::pwned";

  @TempDir Path folder;
  private Path checkpoint;

  /** A checkpoint in a folder, with a file and a tensor, all of that name. */
  @BeforeEach
  void write() throws IOException {
    checkpoint = Files.createDirectory(folder.resolve(HOSTILE));
    Path source = Fixtures.randomMixtrals().get(2);
    try (var files = Files.list(source)) {
      for (Path file : files.filter(file -> !file.toString().contains("trace")).toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName().toString()));
      }
    }
  }

  private void addTensor() {
    Path weights = checkpoint.resolve("model.safetensors");
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    try (SafetensorsFile file = SafetensorsFile.open(weights)) {
      for (TensorInfo info : file.header().tensors()) {
        tensors.add(
            new SafetensorsWriter.Tensor(
                info.name().contains("norm") ? info.name() + HOSTILE : info.name(),
                info.dtype(),
                info.shape(),
                file.data(info).asByteBuffer()));
      }
      SafetensorsWriter.write(folder.resolve("w"), Map.of(), tensors);
    }
    assertTrue(folder.resolve("w").toFile().renameTo(weights.toFile()));
  }

  private static void assertSafe(int status, String... words) {
    CommandLineTest.Outcome outcome = CommandLineTest.moxie(words);
    String all = outcome.out() + "\n" + outcome.err();
    assertEquals(status, outcome.status(), all);
    assertTrue(all.contains("pwned"), "the name is not shown at all: " + all);
    for (String line : all.split("\n")) {
      assertTrue(line.codePoints().noneMatch(Character::isISOControl), line);
      assertFalse(line.strip().startsWith("::"), line);
    }
  }

  @Test
  void tensorsOfSuchNames() {
    addTensor();
    String honest = Fixtures.randomMixtrals().get(2).toString();
    assertSafe(1, "diff", checkpoint.toString(), honest, "--all");
    assertSafe(3, "convert", checkpoint.toString(), folder.resolve("p").toString());
    assertSafe(3, "inspect", checkpoint.toString());
  }

  @Test
  void foldersOfSuchNames() {
    String pack = folder.resolve("::error::pwned" + HOSTILE).toString();
    String other = Fixtures.tinyMixtral().toString();
    String ids = "--ids=1,2";
    assertSafe(0, "inspect", checkpoint.toString());
    assertSafe(0, "convert", checkpoint.toString(), pack);
    assertSafe(2, "convert", checkpoint.toString(), pack);
    assertSafe(0, "inspect", pack);
    assertSafe(0, "verify", pack);
    assertSafe(1, "verify", pack, "--source", other);
    assertSafe(1, "diff", pack, other);
    assertSafe(0, "routing", pack, ids);
    assertSafe(0, "baseline", "record", pack, pack + ".json", ids);
    assertSafe(0, "baseline", "check", pack, pack + ".json");
    assertSafe(0, "reshard", pack, pack + "2");
    assertSafe(0, "export", pack, pack + "3");
    assertSafe(2, "verify", pack + "nowhere");
    assertSafe(2, "frob" + HOSTILE);
    assertSafe(2, "convert", checkpoint.toString(), "--dtype", HOSTILE);
  }

  @Test
  void filesOfSuchNames() throws IOException {
    Path pack = folder.resolve("p");
    Files.writeString(checkpoint.resolve("pwned\u001b"), "x");
    assertSafe(0, "convert", checkpoint.toString(), pack.toString(), "--dry-run");
    assertEquals(
        0, CommandLineTest.moxie("convert", checkpoint.toString(), pack.toString()).status());
    Files.writeString(pack.resolve(HOSTILE), "x");
    assertSafe(1, "verify", pack.toString());
  }
}
