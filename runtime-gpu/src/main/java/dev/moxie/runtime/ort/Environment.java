package dev.moxie.runtime.ort;

import dev.moxie.format.error.EnvironmentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;

/** ONNX Runtime, started: one thread pool for all sessions. */
public final class Environment extends Handle {
  /** ORT_LOGGING_LEVEL_ERROR. */
  private static final int ERRORS = 3;

  private Environment(Library library, MemorySegment address) {
    super(library, Release.ENVIRONMENT, address);
  }

  /**
   * Loads the library and starts it.
   *
   * @param file the library
   * @param threads that compute an operator together
   * @throws EnvironmentException if it does not load, or is of another version
   */
  public static Environment start(Path file, int threads) {
    Library library = Library.load(file);
    String doing = "starting ONNX Runtime";
    MemorySegment options = library.make(doing, Function.CREATE_THREADING_OPTIONS);
    try (Arena arena = Arena.ofConfined()) {
      library.call(doing, Function.SET_GLOBAL_INTRA_OP_NUM_THREADS, options, threads);
      library.call(doing, Function.SET_GLOBAL_INTER_OP_NUM_THREADS, options, 1);
      MemorySegment name = arena.allocateFrom("moxie");
      return new Environment(
          library,
          library.make(doing, Function.CREATE_ENV_WITH_GLOBAL_THREAD_POOLS, ERRORS, name, options));
    } finally {
      library.release(Release.THREADING_OPTIONS, options);
    }
  }

  /** The version of ONNX Runtime. */
  public String version() {
    return Library.VERSION;
  }

  /** Options of a session that computes with this environment's threads. */
  public SessionOptions options() {
    return new SessionOptions(library());
  }

  /** Options of a run. */
  public RunOptions runOptions() {
    return new RunOptions(library());
  }

  /**
   * Opens a session.
   *
   * @param graph a model in ONNX's own form
   * @param name for messages
   * @throws EnvironmentException if the graph is refused
   */
  public Session session(byte[] graph, SessionOptions options, String name) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, graph);
      return new Session(
          library(),
          library()
              .make(
                  "loading " + name,
                  Function.CREATE_SESSION_FROM_ARRAY,
                  address(),
                  bytes,
                  bytes.byteSize(),
                  options.address()));
    }
  }

  /** Memory of a kind, which tensors are made of. */
  public MemoryInfo memory(MemoryInfo.Kind kind) {
    return new MemoryInfo(library(), kind);
  }
}
