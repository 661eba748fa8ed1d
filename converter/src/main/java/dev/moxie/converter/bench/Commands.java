package dev.moxie.converter.bench;

import dev.moxie.format.error.EnvironmentException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;

/** Other people's commands, to compare with. */
public final class Commands {
  private Commands() {}

  /**
   * Runs one to its end.
   *
   * @throws EnvironmentException if it fails
   */
  public static void execute(List<String> command) {
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      int status = process.waitFor();
      if (status != 0) {
        throw new EnvironmentException(
            command.getFirst(), "exit status 0", String.valueOf(status), "see what it printed");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while measuring", e);
    }
  }
}
