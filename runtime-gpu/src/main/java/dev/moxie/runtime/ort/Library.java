package dev.moxie.runtime.ort;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.foreign.NativeFunction;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/** The loaded library and its table of functions. It stays loaded: its threads go on in it. */
@SuppressWarnings("restricted") // Machine code is what this package is about.
final class Library {
  /** The one whose graphs were tried; its operators and their bugs differ from others'. */
  static final String VERSION = "1.29.0";

  private static final int API_VERSION = 29;
  private static final int GET_ERROR_MESSAGE = 2;
  private static final FunctionDescriptor RELEASE = FunctionDescriptor.ofVoid(ADDRESS);
  private static final FunctionDescriptor TEXT = FunctionDescriptor.of(ADDRESS, ADDRESS);

  private final MemorySegment table;
  private final Map<Integer, NativeFunction> functions = new ConcurrentHashMap<>();

  private Library(MemorySegment table) {
    this.table = table;
  }

  /**
   * Loads a library.
   *
   * @throws EnvironmentException if it is none of ONNX Runtime, or of another version
   */
  static Library load(Path file) {
    MemorySegment base = base(file).reinterpret(2 * ADDRESS.byteSize());
    // struct OrtApiBase: GetApi, GetVersionString.
    var getApi =
        new NativeFunction(base.getAtIndex(ADDRESS, 0), FunctionDescriptor.of(ADDRESS, JAVA_INT));
    var getVersion =
        new NativeFunction(base.getAtIndex(ADDRESS, 1), FunctionDescriptor.of(ADDRESS));
    requireVersion(file, text(address(getVersion)));
    return new Library(address(getApi, API_VERSION).reinterpret(Long.MAX_VALUE));
  }

  private static MemorySegment base(Path file) {
    if (!Files.isRegularFile(file)) {
      throw refused(file, "none there");
    }
    try {
      SymbolLookup symbols = SymbolLookup.libraryLookup(file, Arena.global());
      return symbols
          .find("OrtGetApiBase")
          .map(function -> address(new NativeFunction(function, FunctionDescriptor.of(ADDRESS))))
          .orElseThrow(() -> refused(file, "another library"));
    } catch (IllegalArgumentException e) {
      throw refused(file, "one that this system does not load");
    }
  }

  static void requireVersion(Path file, String version) {
    if (!version.equals(VERSION)) {
      throw refused(file, "version " + version);
    }
  }

  private static EnvironmentException refused(Path file, String found) {
    return new EnvironmentException(
        file.toString(),
        "ONNX Runtime " + VERSION + ", built for this system",
        found,
        "leave out -Donnxruntime.native.path, or name a folder that has it");
  }

  /**
   * Calls a function.
   *
   * @param doing what for, as in "loading a graph"
   * @throws EnvironmentException if it fails
   */
  void call(String doing, Function function, Object... arguments) {
    failure(function, arguments)
        .ifPresent(
            message -> {
              throw new EnvironmentException(
                  doing,
                  "ONNX Runtime to do it",
                  message,
                  "run moxie verify on the package; if it passes, report this");
            });
  }

  /** Calls a function; what it says where it fails. */
  Optional<String> failure(Function function, Object... arguments) {
    MemorySegment status = address(function(function.index(), function.descriptor()), arguments);
    if (status.equals(MemorySegment.NULL)) {
      return Optional.empty();
    }
    String message = text(address(function(GET_ERROR_MESSAGE, TEXT), status));
    release(Release.STATUS, status);
    return Optional.of(message.replace('\n', ' '));
  }

  /** Calls a function that hands something out through its last parameter. */
  MemorySegment make(String doing, Function function, Object... arguments) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      Object[] all = new Object[arguments.length + 1];
      System.arraycopy(arguments, 0, all, 0, arguments.length);
      all[arguments.length] = out;
      call(doing, function, all);
      return out.get(ADDRESS, 0);
    }
  }

  /** Calls a function that sets an option of something. */
  void set(String doing, Function function, MemorySegment of, String key, String value) {
    try (Arena arena = Arena.ofConfined()) {
      call(doing, function, of, arena.allocateFrom(key), arena.allocateFrom(value));
    }
  }

  /** Takes back what a function handed out. */
  void release(Release release, MemorySegment what) {
    function(release.index(), RELEASE).call(what);
  }

  private NativeFunction function(int index, FunctionDescriptor descriptor) {
    return functions.computeIfAbsent(
        index, i -> new NativeFunction(table.getAtIndex(ADDRESS, i), descriptor));
  }

  private static MemorySegment address(NativeFunction function, Object... arguments) {
    return (MemorySegment) function.call(arguments);
  }

  private static String text(MemorySegment address) {
    return address.reinterpret(Long.MAX_VALUE).getString(0);
  }
}
