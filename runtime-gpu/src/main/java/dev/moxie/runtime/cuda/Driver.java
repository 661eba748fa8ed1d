package dev.moxie.runtime.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.foreign.NativeFunction;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The library that comes with the driver of a card. It stays loaded. */
@SuppressWarnings("restricted") // Machine code is what this package is about.
public final class Driver {
  private static final String LIBRARY =
      System.getProperty("os.name").startsWith("Windows") ? "nvcuda.dll" : "libcuda.so.1";

  private static final int COMPUTE_CAPABILITY_MAJOR = 75;
  private static final int COMPUTE_CAPABILITY_MINOR = 76;
  private static final int LONGEST_NAME = 256;

  private final SymbolLookup symbols;
  private final Map<Function, NativeFunction> functions = new ConcurrentHashMap<>();

  private Driver(SymbolLookup symbols) {
    this.symbols = symbols;
  }

  /**
   * Loads the library and starts it.
   *
   * @throws EnvironmentException if there is none, or it has no card to drive
   */
  public static Driver load() {
    SymbolLookup symbols;
    try {
      symbols = SymbolLookup.libraryLookup(LIBRARY, Arena.global());
    } catch (IllegalArgumentException e) {
      throw missing("no " + LIBRARY + ", which comes with the driver");
    }
    var driver = new Driver(symbols);
    int result = driver.result(Function.INIT, 0);
    if (result != 0) {
      throw missing(driver.error(result));
    }
    return driver;
  }

  private static EnvironmentException missing(String found) {
    return new EnvironmentException(
        "--device cuda",
        "an NVIDIA card and its driver",
        found + " on this machine",
        "install the driver, let this process see the card, or use --device cpu");
  }

  /**
   * The cards that this process sees.
   *
   * @throws EnvironmentException if there are none
   */
  public List<Card> cards() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG);
      call("counting cards", Function.DEVICE_GET_COUNT, out);
      int count = out.get(JAVA_INT, 0);
      if (count == 0) {
        throw missing("no card");
      }
      List<Card> cards = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        cards.add(card(arena, i, out));
      }
      return cards;
    }
  }

  private Card card(Arena arena, int ordinal, MemorySegment out) {
    String doing = "asking for card " + ordinal;
    int device = device(ordinal);
    MemorySegment name = arena.allocate(LONGEST_NAME);
    call(doing, Function.DEVICE_GET_NAME, name, LONGEST_NAME, device);
    call(doing, Function.DEVICE_TOTAL_MEM, out, device);
    return new Card(
        name.getString(0),
        attribute(device, COMPUTE_CAPABILITY_MAJOR),
        attribute(device, COMPUTE_CAPABILITY_MINOR),
        out.get(JAVA_LONG, 0));
  }

  /** Makes the first card's memory and streams ours; it is shared with other libraries. */
  public Context open() {
    return new Context(this, device(0));
  }

  /** A number that a device says of itself, by its CUdevice_attribute. */
  int attribute(int device, int attribute) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      call("asking for the card", Function.DEVICE_GET_ATTRIBUTE, out, attribute, device);
      return out.get(JAVA_INT, 0);
    }
  }

  private int device(int ordinal) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      call("asking for card " + ordinal, Function.DEVICE_GET, out, ordinal);
      return out.get(JAVA_INT, 0);
    }
  }

  /**
   * Calls a function.
   *
   * @param doing what for, as in "copying to the card"
   * @throws EnvironmentException if it fails, then or in what the card was given to do before
   */
  void call(String doing, Function function, Object... arguments) {
    int result = result(function, arguments);
    if (result != 0) {
      throw failure(doing, error(result));
    }
  }

  /** That something was not done. */
  static EnvironmentException failure(String doing, String found) {
    return new EnvironmentException(
        doing,
        "the driver to do it",
        found,
        "see with nvidia-smi what else uses the card, or use --device cpu");
  }

  int result(Function function, Object... arguments) {
    return (int) functions.computeIfAbsent(function, this::find).call(arguments);
  }

  private NativeFunction find(Function function) {
    return symbols
        .find(function.symbol())
        .map(address -> new NativeFunction(address, function.descriptor()))
        .orElseThrow(() -> missing("a driver without " + function.symbol()));
  }

  /** What the driver says of a result, as in "CUDA_ERROR_NO_DEVICE, no CUDA-capable device…". */
  String error(int result) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      if (result(Function.GET_ERROR_NAME, result, out) != 0) {
        return "error " + result;
      }
      String name = text(out);
      return result(Function.GET_ERROR_STRING, result, out) != 0 ? name : name + ", " + text(out);
    }
  }

  private static String text(MemorySegment out) {
    return out.get(ADDRESS, 0).reinterpret(Long.MAX_VALUE).getString(0);
  }
}
