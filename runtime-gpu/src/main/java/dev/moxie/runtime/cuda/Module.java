package dev.moxie.runtime.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Code that a card runs. */
@SuppressWarnings("restricted") // Machine code is what this package is about.
public final class Module implements AutoCloseable {
  private static final int ERROR_LOG_BUFFER = 5;
  private static final int ERROR_LOG_BUFFER_SIZE_BYTES = 6;
  private static final int LOG_BYTES = 4096;

  private final Context context;
  private final MemorySegment address;

  Module(Context context, String name, byte[] ptx) {
    this.context = context;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocate(ptx.length + 1L);
      text.copyFrom(MemorySegment.ofArray(ptx));
      MemorySegment log = arena.allocate(LOG_BYTES);
      MemorySegment options =
          arena.allocateFrom(JAVA_INT, ERROR_LOG_BUFFER, ERROR_LOG_BUFFER_SIZE_BYTES);
      MemorySegment values = arena.allocateFrom(JAVA_LONG, log.address(), LOG_BYTES);
      MemorySegment out = arena.allocate(ADDRESS);
      int result =
          context.result(
              Function.MODULE_LOAD_DATA_EX,
              out,
              text,
              (int) (options.byteSize() / Integer.BYTES),
              options,
              values);
      if (result != 0) {
        String said = log.getString(0).strip();
        throw Driver.failure(
            "compiling the kernels of " + name,
            context.error(result)
                + (said.isEmpty() ? "" : ": " + said.lines().findFirst().orElse("")));
      }
      address = out.get(ADDRESS, 0);
    }
  }

  /** One of its kernels. */
  public Kernel kernel(String name) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment symbol = arena.allocateFrom(name);
      return new Kernel(
          context,
          name,
          context.make("finding " + name, Function.MODULE_GET_FUNCTION, address, symbol));
    }
  }

  @Override
  public void close() {
    context.call("unloading kernels", Function.MODULE_UNLOAD, address);
  }
}
