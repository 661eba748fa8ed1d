package dev.moxie.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;

/**
 * A kind of file that strangers hand to Moxie, among files that are right.
 *
 * @param name of the kind, as of the folders of format-spec/attacks
 * @param folder that holds everything that is read
 * @param file where a hostile one lies
 * @param originals right ones
 * @param seal makes the digests that cover the file right again, as a careful liar would
 * @param open reads it as the lowest layer does whose failures decide the status; null where that
 *     is the command itself
 * @param command that reads it
 */
record HostileInput(
    String name,
    Path folder,
    Path file,
    List<byte[]> originals,
    Mutation.Form form,
    Seal seal,
    @Nullable Callable<?> open,
    List<String> command) {

  /** Given the bytes of the hostile file, returns them as they are to be written. */
  @FunctionalInterface
  interface Seal {
    byte[] of(byte[] bytes) throws IOException;
  }

  /** Puts a hostile file in its place. */
  void place(byte[] bytes) throws IOException {
    Files.createDirectories(file.getParent());
    Files.write(file, seal.of(bytes));
  }
}
