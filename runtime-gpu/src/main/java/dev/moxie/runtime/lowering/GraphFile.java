package dev.moxie.runtime.lowering;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Writes the whole-model graph to a file, for other tools; the weights stay in the package. */
public final class GraphFile {
  private GraphFile() {}

  /**
   * Writes the CPU form. External data are named relative to the package's folder.
   *
   * @param folder the package
   */
  public static void write(Path folder, Path file) {
    Path target = file.toAbsolutePath().normalize();
    if (target.startsWith(folder.toAbsolutePath().normalize())) {
      throw new UsageException(
          file.toString(),
          "a path outside the package",
          "one inside",
          "a package holds nothing that its manifest does not list");
    }
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      Files.write(file, new Lowering(pack, Target.CPU).wholeModel().toByteArray());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
