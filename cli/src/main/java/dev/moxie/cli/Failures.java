package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
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
      case ExceptionInInitializerError e when e.getCause() != null -> report(e.getCause(), false);
      case OutOfMemoryError e -> {
        System.err.println(
            "moxie: expected memory enough for this model, found none left; give the JVM more"
                + " (MOXIE_JAVA_OPTS=-Xmx…) or use a larger machine.");
        yield ENVIRONMENT;
      }
      case LinkageError e -> {
        System.err.println(
            "moxie: expected native libraries that load, found \""
                + e.getMessage()
                + "\"; use a supported platform.");
        yield ENVIRONMENT;
      }
      case InternalError e -> {
        // What a mapped file throws when it shrinks under its reader.
        System.err.println(
            "moxie: expected files to stay as they are while they are read, found one that"
                + " shrank; let nothing write to them and try again.");
        yield INPUT;
      }
      case InvalidPathException e -> {
        System.err.println(
            "moxie: "
                + e.getInput()
                + ": expected a path that this system can name, found one it cannot ("
                + e.getReason()
                + "); rename the file.");
        yield INPUT;
      }
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
    return e instanceof NoSuchFileException ? USAGE : ENVIRONMENT;
  }
}
