package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import org.jspecify.annotations.Nullable;

/** Turns a failure into one sentence and an exit status. */
final class Failures {
  static final int MISMATCH = 1;
  static final int USAGE = 2;
  static final int INPUT = 3;
  static final int ENVIRONMENT = 4;
  private static final int BUG = 70;

  private Failures() {}

  static int report(Throwable failure, boolean debug) {
    if (debug) {
      failure.printStackTrace();
    }
    return switch (failure) {
      case MoxieException e -> {
        System.err.println("moxie: " + e.getMessage());
        yield status(e);
      }
      case UncheckedIOException e -> io(e.getCause());
      case IOException e -> io(e);
      default -> {
        System.err.println(
            "moxie: this is a bug in Moxie ("
                + failure
                + "); run again with --debug and report what it prints.");
        yield BUG;
      }
    };
  }

  private static int status(MoxieException failure) {
    return switch (failure) {
      case InvalidInputException e -> INPUT;
      case UsageException e -> USAGE;
      case EnvironmentException e -> ENVIRONMENT;
    };
  }

  private static int io(@Nullable IOException e) {
    String message =
        switch (e) {
          case NoSuchFileException missing ->
              missing.getFile() + ": expected a file, found none; check the path.";
          case AccessDeniedException denied ->
              denied.getFile() + ": expected access, found none; check its permissions.";
          case FileSystemException other ->
              other.getFile()
                  + ": expected to read and write, found \""
                  + other.getReason()
                  + "\"; check disk and path.";
          case null, default ->
              "expected to read and write, found \""
                  + (e == null ? "" : e.getMessage())
                  + "\"; check disk space and disk.";
        };
    System.err.println("moxie: " + message);
    return e instanceof NoSuchFileException ? INPUT : ENVIRONMENT;
  }
}
