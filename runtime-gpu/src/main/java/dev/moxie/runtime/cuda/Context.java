package dev.moxie.runtime.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.moxie.format.error.EnvironmentException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The primary context of a card, which the CUDA runtime, and so ONNX Runtime, uses as well.
 *
 * <p>Memory of the card is a segment whose address means something there alone: it is cut, passed
 * to functions and never read here.
 */
@SuppressWarnings("restricted") // Machine code is what this package is about.
public final class Context implements AutoCloseable {
  private static final int MULTIPROCESSOR_COUNT = 16;
  private static final int MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97;

  private final Driver driver;
  private final int device;
  private final MemorySegment address;

  Context(Driver driver, int device) {
    this.driver = driver;
    this.device = device;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      driver.call("opening the card", Function.DEVICE_PRIMARY_CTX_RETAIN, out, device);
      address = out.get(ADDRESS, 0);
    }
  }

  /** Calls a function in this context, which is each thread's own to choose. */
  void call(String doing, Function function, Object... arguments) {
    driver.call(doing, Function.CTX_SET_CURRENT, address);
    driver.call(doing, function, arguments);
  }

  /**
   * Memory of the card, until an arena is closed.
   *
   * @throws EnvironmentException if it has not as much
   */
  public MemorySegment allocate(Arena arena, long bytes) {
    return allocated(
        arena,
        "taking %,d bytes of the card's memory, of which %,d are free".formatted(bytes, free()),
        bytes,
        Function.MEM_FREE,
        Function.MEM_ALLOC,
        bytes);
  }

  /** Memory of the host that the card reads and writes by itself, until an arena is closed. */
  public MemorySegment allocatePinned(Arena arena, long bytes) {
    return allocated(
        arena,
        "pinning %,d bytes of memory".formatted(bytes),
        bytes,
        Function.MEM_FREE_HOST,
        Function.MEM_HOST_ALLOC,
        bytes,
        0);
  }

  private MemorySegment allocated(
      Arena arena,
      String doing,
      long bytes,
      Function release,
      Function function,
      Object... arguments) {
    MemorySegment memory = make(doing, function, arguments);
    return memory.reinterpret(bytes, arena, what -> call("freeing memory", release, what));
  }

  /** Calls a function that hands something out through its first parameter. */
  MemorySegment make(String doing, Function function, Object... arguments) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      Object[] all = new Object[arguments.length + 1];
      all[0] = out;
      System.arraycopy(arguments, 0, all, 1, arguments.length);
      call(doing, function, all);
      return out.get(ADDRESS, 0);
    }
  }

  /** Bytes of the card's memory that nothing has taken. */
  public long free() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment free = arena.allocate(JAVA_LONG);
      MemorySegment total = arena.allocate(JAVA_LONG);
      call("asking for free memory", Function.MEM_GET_INFO, free, total);
      return free.get(JAVA_LONG, 0);
    }
  }

  /** How many multiprocessors the card has. */
  public int processors() {
    return driver.attribute(device, MULTIPROCESSOR_COUNT);
  }

  /** Bytes of shared memory that a block may be given. */
  public int sharedMemory() {
    return driver.attribute(device, MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  }

  /**
   * Code for the card, which the driver makes of PTX.
   *
   * @param name for messages
   */
  public Module load(String name, byte[] ptx) {
    return new Module(this, name, ptx);
  }

  /** Calls a function in this context, and gives its CUresult. */
  int result(Function function, Object... arguments) {
    driver.call("using the card", Function.CTX_SET_CURRENT, address);
    return driver.result(function, arguments);
  }

  String error(int result) {
    return driver.error(result);
  }

  /** A queue of work for the card. */
  public Stream stream() {
    return new Stream(this);
  }

  @Override
  public void close() {
    driver.call("closing the card", Function.DEVICE_PRIMARY_CTX_RELEASE, device);
  }
}
