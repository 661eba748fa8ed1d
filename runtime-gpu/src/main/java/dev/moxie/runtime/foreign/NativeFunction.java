package dev.moxie.runtime.foreign;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodType;

/** A function of a library, called with as many arguments as its descriptor says. */
public final class NativeFunction {
  private final MethodHandle handle;

  /** The function at an address. */
  @SuppressWarnings("restricted") // The address and the descriptor are the caller's to know.
  public NativeFunction(MemorySegment address, FunctionDescriptor descriptor) {
    int count = descriptor.argumentLayouts().size();
    // One call site for every signature: what is called takes microseconds at least.
    handle =
        Linker.nativeLinker()
            .downcallHandle(address, descriptor)
            .asType(MethodType.genericMethodType(count))
            .asSpreader(Object[].class, count);
  }

  /** What the function gives; null if that is nothing. */
  public Object call(Object... arguments) {
    try {
      return handle.invokeExact(arguments);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
