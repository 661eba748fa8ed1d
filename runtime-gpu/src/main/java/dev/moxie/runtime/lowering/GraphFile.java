package dev.moxie.runtime.lowering;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.pack.MoxiePackage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** Writes the whole-model graph to a file, for other tools; the weights stay in the package. */
public final class GraphFile {
  /** How every graph of ours begins, in the order in which its fields are written. */
  private static final Signature SIGNATURE = Signature.of(Graph.start());

  private GraphFile() {}

  /**
   * Writes the CPU form. External data are named relative to the package's folder.
   *
   * @param folder the package
   * @throws UsageException if the file would lie in a package or replace anything but an earlier
   *     graph
   */
  public static void write(Path folder, Path file) {
    Path place = StagedFile.place(file);
    MoxiePackage.requireOutside(place);
    try (MoxiePackage pack = MoxiePackage.open(folder);
        StagedFile staged = StagedFile.create(place, SIGNATURE)) {
      staged
          .file()
          .write(ByteBuffer.wrap(new Lowering(pack, Target.CPU).wholeModel().toByteArray()));
      staged.finish();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
