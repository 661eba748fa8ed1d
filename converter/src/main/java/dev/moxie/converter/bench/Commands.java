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
    run(command.getFirst(), command, ProcessBuilder.Redirect.DISCARD, process -> new byte[0]);
  }

  /**
   * Runs one to its end.
   *
   * @param where it comes from, for messages
   * @param most bytes that it may print
   * @return what it printed
   * @throws EnvironmentException if it fails, or prints more
   */
  public static byte[] output(String where, List<String> command, int most) {
    return run(
        where,
        command,
        ProcessBuilder.Redirect.PIPE,
        process -> {
          byte[] printed = process.getInputStream().readNBytes(most + 1);
          if (printed.length > most) {
            process.destroy();
            throw new EnvironmentException(
                where, "at most " + most + " bytes printed", "more", "pass another command");
          }
          return printed;
        });
  }

  /** What is made of a process while it runs. */
  @FunctionalInterface
  private interface Reader {
    byte[] read(Process process) throws IOException;
  }

  private static byte[] run(
      String where, List<String> command, ProcessBuilder.Redirect output, Reader reader) {
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectOutput(output)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      process.getOutputStream().close();
      byte[] read = reader.read(process);
      int status = process.waitFor();
      if (status != 0) {
        throw new EnvironmentException(
            where, "exit status 0", String.valueOf(status), "see what it printed");
      }
      return read;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while measuring", e);
    }
  }
}
