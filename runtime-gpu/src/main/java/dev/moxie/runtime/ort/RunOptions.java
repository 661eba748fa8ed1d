package dev.moxie.runtime.ort;

import java.lang.foreign.Arena;

/** How a session is run. */
public final class RunOptions extends Handle {
  private static final String DOING = "choosing options of a run";

  RunOptions(Library library) {
    super(library, Release.RUN_OPTIONS, library.make(DOING, Function.CREATE_RUN_OPTIONS));
  }

  /** Sets an option of onnxruntime_run_options_config_keys.h. */
  public void set(String key, String value) {
    try (Arena arena = Arena.ofConfined()) {
      library()
          .call(
              DOING,
              Function.ADD_RUN_CONFIG_ENTRY,
              address(),
              arena.allocateFrom(key),
              arena.allocateFrom(value));
    }
  }
}
