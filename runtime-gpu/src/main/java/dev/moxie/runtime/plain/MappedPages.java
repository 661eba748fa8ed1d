package dev.moxie.runtime.plain;

import dev.moxie.format.error.EnvironmentException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** What Linux is told, and asked, of the pages of mapped files (madvise and mincore, section 2). */
final class MappedPages {
  /** MADV_WILLNEED: read without waiting for it. */
  private static final int WILL_NEED = 3;

  /** MADV_PAGEOUT, of Linux 5.4: let go at once. */
  private static final int PAGE_OUT = 21;

  /** Pages of a file that are asked to leave, since someone may be busy with some. */
  private static final int TRIES = 16;

  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;

  private final MethodHandle advise = function("madvise", LONG, LONG, INT);
  private final MethodHandle residence = function("mincore", LONG, LONG, ValueLayout.ADDRESS);
  private final long page;

  /** A byte for each page of what was last asked for. */
  private MemorySegment states = MemorySegment.NULL;

  /**
   * Looks for the calls.
   *
   * @param system its name
   * @throws EnvironmentException if that is not Linux
   */
  MappedPages(String system) {
    if (!system.equals("Linux")) {
      throw unavailable(system);
    }
    try {
      page = (int) function("getpagesize").invokeExact();
    } catch (Throwable e) {
      throw unavailable(String.valueOf(e));
    }
  }

  /** Has all pages read that some of the bytes lie in, and goes on. */
  void fetch(MemorySegment bytes) {
    long from = bytes.address() / page * page;
    advise(from, bytes.address() + bytes.byteSize() - from, WILL_NEED);
  }

  /** Lets the pages go that lie in the bytes entirely. */
  void release(MemorySegment bytes) {
    long from = Math.ceilDiv(bytes.address(), page) * page;
    long size = (bytes.address() + bytes.byteSize()) / page * page - from;
    if (size > 0) {
      advise(from, size, PAGE_OUT);
    }
  }

  /**
   * Whether any of some pages leaves memory when it is asked to. Linux heeds that only from who
   * owns or may write the file, without saying so, and a file in memory alone has nowhere to go.
   */
  boolean letsGo(MemorySegment file) {
    long from = Math.ceilDiv(file.address(), page) * page - file.address();
    long pages = Math.max(0, (file.byteSize() - from) / page);
    long tries = Math.min(pages, TRIES);
    for (int i = 0; i < tries; i++) {
      MemorySegment one = file.asSlice(from + pages * i / tries * page, page);
      one.load();
      release(one);
      if (resident(one) == 0) {
        return true;
      }
    }
    return pages == 0;
  }

  /** How many of the bytes are in memory. */
  long resident(MemorySegment bytes) {
    long from = bytes.address() / page * page;
    long end = bytes.address() + bytes.byteSize();
    long pages = Math.ceilDiv(end - from, page);
    if (states.byteSize() < pages) {
      states = Arena.ofAuto().allocate(pages);
    }
    require(call(() -> (int) residence.invokeExact(from, end - from, states)), "mincore");
    long resident = 0;
    for (long i = 0; i < pages; i++) {
      if ((states.get(ValueLayout.JAVA_BYTE, i) & 1) != 0) {
        long first = Math.max(bytes.address(), from + i * page);
        resident += Math.min(end, from + (i + 1) * page) - first;
      }
    }
    return resident;
  }

  private void advise(long from, long size, int advice) {
    require(call(() -> (int) advise.invokeExact(from, size, advice)), "madvise " + advice);
  }

  private interface Call {
    int result() throws Throwable;
  }

  private static int call(Call call) {
    try {
      return call.result();
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw unavailable(String.valueOf(e));
    }
  }

  private static void require(int result, String what) {
    if (result != 0) {
      throw unavailable(what + " refused");
    }
  }

  @SuppressWarnings("restricted") // Three functions of the C library.
  private static MethodHandle function(String name, ValueLayout... parameters) {
    Linker linker = Linker.nativeLinker();
    return linker
        .defaultLookup()
        .find(name)
        .map(address -> linker.downcallHandle(address, FunctionDescriptor.of(INT, parameters)))
        .orElseThrow(() -> unavailable("no function " + name));
  }

  private static EnvironmentException unavailable(String found) {
    return new EnvironmentException(
        "--memory-budget",
        "Linux from 5.4 on, which lets pages of a file go on request",
        found,
        "leave it out: the system keeps what it can");
  }
}
