package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.EnvironmentException;
import java.io.EOFException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class FailuresTest {
  private static final Pattern CLASS =
      Pattern.compile("\\b(java|javax|jdk|sun|ai|dev|picocli)[./]\\w");

  static Stream<Arguments> failures() {
    return Stream.of(
        Arguments.of(4, "-Xmx", new OutOfMemoryError("Java heap space")),
        Arguments.of(4, "threads", new OutOfMemoryError("unable to create native thread: x")),
        Arguments.of(4, "-Xss", new StackOverflowError()),
        Arguments.of(4, "libraries", new UnsatisfiedLinkError("'long com.sun.jna.Native.f(int)'")),
        Arguments.of(4, "libraries", new NoClassDefFoundError("com/sun/jna/Native")),
        Arguments.of(4, "there", new ExceptionInInitializerError(lack())),
        Arguments.of(4, "shrank", new InternalError("a fault occurred in an unsafe memory access")),
        Arguments.of(2, "f", new UncheckedIOException(new NoSuchFileException("f"))),
        Arguments.of(4, "permissions", new UncheckedIOException(new AccessDeniedException("f"))),
        Arguments.of(4, "a folder", new UncheckedIOException(new NotDirectoryException("f"))),
        Arguments.of(4, "f", new UncheckedIOException(new FileAlreadyExistsException("f"))),
        Arguments.of(4, "refuses", new UncheckedIOException(new FileSystemException("f"))),
        Arguments.of(4, "EIO", new UncheckedIOException(new FileSystemException("f", "", "EIO"))),
        Arguments.of(4, "replace", refused("Too many levels of symbolic links")),
        Arguments.of(4, "replace", refused("Too many levels of symbolic links or unable to x")),
        Arguments.of(4, "ulimit -n", refused("Too many open files")),
        Arguments.of(4, "ulimit -n", new IOException("Too many open files")),
        Arguments.of(4, "shorter", refused("File name too long")),
        Arguments.of(4, "free some", refused("No space left on device")),
        Arguments.of(4, "ulimit -v", new IOException("Map failed")),
        Arguments.of(4, "ulimit -n", new NoClassDefFoundError("Could not initialize class x")),
        Arguments.of(4, "refuses", new UncheckedIOException(new EOFException())),
        Arguments.of(4, "full", new IOException("the disk is full")),
        Arguments.of(3, "rename", new InvalidPathException("a\u0000b", "Nul character")),
        Arguments.of(70, "bug", new IllegalStateException("java.lang.Foo")),
        Arguments.of(70, "bug", new NullPointerException("because dev.moxie.X is null")),
        Arguments.of(70, "bug", new AssertionError()));
  }

  private static UncheckedIOException refused(String reason) {
    return new UncheckedIOException(new FileSystemException("f", null, reason));
  }

  private static EnvironmentException lack() {
    return new EnvironmentException("/none", "a folder that is there", "none", "make it");
  }

  @ParameterizedTest
  @MethodSource("failures")
  void everyFailureIsOneSentenceThatNamesNoClassAndNoneEndsAsADifference(
      int status, String words, Throwable failure) {
    Failures.Failure said = Failures.of(failure);
    assertEquals(status, said.status());
    assertTrue(said.sentence().contains(words), said.sentence());
    assertTrue(said.sentence().endsWith("."), said.sentence());
    assertFalse(CLASS.matcher(said.sentence()).find(), said.sentence());
    assertFalse(said.sentence().contains("null"), said.sentence());
  }

  @Test
  void aFileNameInAFailureIsSafeToPrint() {
    String name = "\u001b]0;x\u0007\n::error::";
    String sentence = Failures.of(new NoSuchFileException(name)).sentence();
    assertTrue(sentence.codePoints().noneMatch(Character::isISOControl), sentence);
  }
}
