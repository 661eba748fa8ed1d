package dev.moxie.runtime.ort;

import static java.lang.foreign.ValueLayout.ADDRESS;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** How a session is opened. */
public final class SessionOptions extends Handle {
  private static final String DOING = "choosing options of a session";

  SessionOptions(Library library) {
    super(library, Release.SESSION_OPTIONS, library.make(DOING, Function.CREATE_SESSION_OPTIONS));
    library.call(DOING, Function.DISABLE_PER_SESSION_THREADS, address());
  }

  /** Sets an option of onnxruntime_session_options_config_keys.h. */
  public void set(String key, String value) {
    library().set(DOING, Function.ADD_SESSION_CONFIG_ENTRY, address(), key, value);
  }

  /**
   * Adds the provider for CUDA, which is loaded now.
   *
   * @param options of the provider
   * @param stream a CUstream that it computes on; null for one of its own
   * @return why it cannot be had; empty if it was added
   */
  public Optional<String> addCuda(Map<String, String> options, @Nullable MemorySegment stream) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      return library()
          .failure(Function.CREATE_CUDA_PROVIDER_OPTIONS, out)
          .or(() -> addCuda(arena, options, stream, out.get(ADDRESS, 0)));
    }
  }

  private Optional<String> addCuda(
      Arena arena,
      Map<String, String> options,
      @Nullable MemorySegment stream,
      MemorySegment provider) {
    MemorySegment keys = arena.allocate(ADDRESS, options.size());
    MemorySegment values = arena.allocate(ADDRESS, options.size());
    int i = 0;
    for (Map.Entry<String, String> option : options.entrySet()) {
      keys.setAtIndex(ADDRESS, i, arena.allocateFrom(option.getKey()));
      values.setAtIndex(ADDRESS, i, arena.allocateFrom(option.getValue()));
      i++;
    }
    try {
      return library()
          .failure(
              Function.UPDATE_CUDA_PROVIDER_OPTIONS, provider, keys, values, (long) options.size())
          .or(() -> setStream(arena, stream, provider))
          .or(
              () ->
                  library()
                      .failure(
                          Function.SESSION_OPTIONS_APPEND_EXECUTION_PROVIDER_CUDA_V2,
                          address(),
                          provider));
    } finally {
      library().release(Release.CUDA_PROVIDER_OPTIONS, provider);
    }
  }

  private Optional<String> setStream(
      Arena arena, @Nullable MemorySegment stream, MemorySegment provider) {
    return stream == null
        ? Optional.empty()
        : library()
            .failure(
                Function.UPDATE_CUDA_PROVIDER_OPTIONS_WITH_VALUE,
                provider,
                arena.allocateFrom("user_compute_stream"),
                stream);
  }
}
