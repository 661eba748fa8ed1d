package dev.moxie.runtime.ort;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.execution.NativeLibraries;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class LibraryTest {
  @TempDir Path folder;

  private static Library library() {
    return NativeLibraries.start(
        "ONNX Runtime",
        folder -> {
          EngineJar.unpack("onnxruntime", folder);
          return Environment.start(folder.resolve(System.mapLibraryName("onnxruntime")), 1)
              .library();
        });
  }

  /** These cannot be told by what they do on a library without CUDA, or at all. */
  @Test
  void functionsThatDoNothingVisibleComplainInTheirOwnWords() {
    Library library = library();
    String threads = "null OrtThreadingOptions";
    assertFails(library, threads, Function.SET_GLOBAL_INTRA_OP_NUM_THREADS, MemorySegment.NULL, 1);
    assertFails(library, threads, Function.SET_GLOBAL_INTER_OP_NUM_THREADS, MemorySegment.NULL, 1);
    MemorySegment none = MemorySegment.NULL;
    String cuda = "CUDA execution provider is not enabled in this build";
    assertFails(library, cuda, Function.CREATE_CUDA_PROVIDER_OPTIONS, none);
    assertFails(library, cuda, Function.UPDATE_CUDA_PROVIDER_OPTIONS, none, none, none, 0L);
    assertFails(library, cuda, Function.UPDATE_CUDA_PROVIDER_OPTIONS_WITH_VALUE, none, none, none);
    assertFails(
        library,
        "OrtSessionOptionsAppendExecutionProvider_Cuda",
        Function.SESSION_OPTIONS_APPEND_EXECUTION_PROVIDER_CUDA_V2,
        none,
        none);
  }

  private static void assertFails(
      Library library, String words, Function function, Object... arguments) {
    String message = library.failure(function, arguments).orElse("nothing");
    assertTrue(message.contains(words), function + ": " + message);
  }

  @Test
  void noTwoFunctionsHaveOnePlace() {
    Set<Integer> places =
        Stream.concat(
                Stream.of(Function.values()).map(Function::index),
                Stream.of(Release.values()).map(Release::index))
            .collect(Collectors.toSet());
    assertEquals(Function.values().length + Release.values().length, places.size());
  }

  @Test
  void anotherVersionIsRefused() {
    Library.requireVersion(folder, "1.29.0");
    assertRefused(
        "found version 1.28.2", () -> Library.requireVersion(folder.resolve("l"), "1.28.2"));
  }

  @Test
  void whatIsNoLibraryOrAnotherIsRefused() throws IOException {
    assertRefused("found none there", () -> Library.load(folder.resolve("absent")));
    Path text = Files.writeString(folder.resolve("libtext.so"), "text");
    assertRefused("found one that this system does not load", () -> Library.load(text));
    Path home = Path.of(System.getProperty("java.home"));
    Path other =
        Stream.of(home.resolve("lib"), home.resolve("bin"))
            .map(f -> f.resolve(System.mapLibraryName("net")))
            .filter(Files::exists)
            .findFirst()
            .orElseThrow();
    assertRefused("found another library", () -> Library.load(other));
  }

  private static void assertRefused(String found, Executable call) {
    String message = assertThrows(EnvironmentException.class, call).getMessage();
    assertTrue(message.contains("expected ONNX Runtime 1.29.0"), message);
    assertTrue(message.contains(found), message);
  }
}
