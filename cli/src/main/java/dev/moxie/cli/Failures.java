package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.MismatchException;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.FileNames;
import dev.moxie.format.text.Line;
import dev.moxie.verifier.report.JsonReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import org.jspecify.annotations.Nullable;

/** Turns a failure into one sentence and an exit status. Neither names a class. */
final class Failures {
  static final int MISMATCH = 1;
  static final int USAGE = 2;
  static final int INPUT = 3;
  static final int ENVIRONMENT = 4;
  private static final int BUG = 70;

  private Failures() {}

  /**
   * What a failure comes to.
   *
   * @param sentence on one line, safe to print
   */
  record Failure(int status, String sentence) {}

  /**
   * Says what went wrong, on standard error and, if the command was to print JSON and has not begun
   * to, as an object on standard output.
   *
   * @return the exit status
   */
  static int report(Failure failure, boolean json) {
    System.err.println("moxie: " + failure.sentence());
    if (json && !(System.out instanceof StandardOutput out && out.isUsed())) {
      try {
        System.out.println(JsonReport.of(failure.sentence()));
      } catch (EnvironmentException lost) {
        System.err.println("moxie: " + lost.getMessage());
        return ENVIRONMENT;
      }
    }
    return failure.status();
  }

  static Failure of(Throwable failure) {
    return switch (failure) {
      case MoxieException e -> new Failure(status(e), String.valueOf(e.getMessage()));
      case UncheckedIOException e -> io(e.getCause());
      case IOException e -> io(e);
      case ExceptionInInitializerError e when e.getCause() != null -> of(e.getCause());
      case OutOfMemoryError e -> memory(String.valueOf(e.getMessage()));
      case StackOverflowError e ->
          environment(
              "expected a deeper stack, found it used up; give the JVM more"
                  + " (MOXIE_JAVA_OPTS=-Xss…), and report this if that does not help.");
      case LinkageError e when String.valueOf(e.getMessage()).contains("jdk/incubator/vector") ->
          environment(
              "expected the JVM's module jdk.incubator.vector, found a JVM started without it;"
                  + " start Moxie by its launcher, or pass --add-modules=jdk.incubator.vector.");
      case LinkageError e ->
          environment(
              "expected all libraries of Moxie to load, found one that does not; raise the limit of"
                  + " open files (ulimit -n) if it is low, else build or install Moxie again, on a"
                  + " system that it supports.");
      case InternalError e when String.valueOf(e.getMessage()).contains("fault occurred") ->
          // What a mapped file throws when it shrinks under its reader.
          environment(
              "expected files to stay as they are, found that one changed while it was read: it"
                  + " shrank, or its disk fails; let nothing write to it and run the command"
                  + " again.");
      case InvalidPathException e -> path(e);
      default ->
          new Failure(
              BUG, "this is a bug in Moxie; run again with --debug and report what it prints.");
    };
  }

  private static Failure environment(String sentence) {
    return new Failure(ENVIRONMENT, Line.of(sentence));
  }

  private static Failure memory(String message) {
    if (message.contains("native thread")) {
      return environment(
          "expected to start another thread, found that the system refuses it; raise the limit"
              + " (ulimit -u) or pass a smaller --threads.");
    }
    String option =
        message.contains("direct buffer")
            ? "-XX:MaxDirectMemorySize"
            : message.contains("etaspace") || message.contains("class space")
                ? "-XX:MaxMetaspaceSize"
                : "";
    return option.isEmpty() || !isSet(option)
        ? environment(
            "expected memory enough for this model, found none left; give the JVM more"
                + " (MOXIE_JAVA_OPTS=-Xmx…) or use a larger machine.")
        : environment(
            "expected memory enough for this model, found that "
                + option
                + " allows no more; raise it in the options of the JVM (MOXIE_JAVA_OPTS).");
  }

  /** What is not set follows from the size of the heap. */
  private static boolean isSet(String option) {
    return ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .anyMatch(argument -> argument.startsWith(option));
  }

  private static int status(MoxieException failure) {
    return switch (failure) {
      case MismatchException e -> MISMATCH;
      case InvalidInputException e -> INPUT;
      case UsageException e -> USAGE;
      case EnvironmentException e -> ENVIRONMENT;
    };
  }

  private static Failure path(InvalidPathException e) {
    try {
      FileNames.requireUtf8Locale(e.getInput());
    } catch (EnvironmentException locale) {
      return of(locale);
    }
    return new Failure(
        INPUT,
        Line.of(
            e.getInput()
                + ": expected a path that this system can name, found one it cannot ("
                + e.getReason()
                + "); rename the file."));
  }

  private static Failure io(@Nullable IOException e) {
    return switch (e) {
      case NoSuchFileException missing ->
          new Failure(
              USAGE, Line.of(missing.getFile() + ": expected a file, found none; check the path."));
      case AccessDeniedException denied ->
          environment(denied.getFile() + ": expected access, found none; check its permissions.");
      case NotDirectoryException other ->
          environment(other.getFile() + ": expected a folder, found none; check the path.");
      case FileAlreadyExistsException other ->
          environment(
              other.getFile() + ": expected no such file yet, found one; run the command again.");
      case FileSystemException other when other.getReason() != null ->
          environment(
              other.getFile()
                  + ": expected to read and write, found \""
                  + other.getReason()
                  + "\"; "
                  + remedy(other.getReason())
                  + ".");
      case FileSystemException other ->
          environment(
              other.getFile()
                  + ": expected to read and write, found that the system refuses it; check disk"
                  + " and path.");
      case null -> unread(null);
      default -> unread(e.getMessage());
    };
  }

  private static Failure unread(@Nullable String reason) {
    return environment(
        "expected to read and write, found "
            + (reason == null
                ? "that the system refuses it; check disk space and disk."
                : "\"" + reason + "\"; " + remedy(reason) + "."));
  }

  /** What the words of a system in English ask for. */
  private static String remedy(String reason) {
    return switch (reason) {
      case String links when links.startsWith("Too many levels of symbolic links") ->
          "links that lead to each other are no file, replace them";
      case "Too many open files" -> "raise the limit (ulimit -n)";
      case "Too many open files in system" -> "close other programs, or raise the system's limit";
      case "File name too long" -> "choose a shorter one";
      case "File too large" -> "raise the limit of file sizes (ulimit -f), or choose another disk";
      case "No space left on device", "Disk quota exceeded" ->
          "free some space there, or choose another disk";
      case "Read-only file system" -> "choose a place that can be written to";
      case "Map failed", "Cannot allocate memory" ->
          "raise the limits of address space (ulimit -v) and of mapped files (vm.max_map_count)";
      default -> "check disk and path";
    };
  }
}
