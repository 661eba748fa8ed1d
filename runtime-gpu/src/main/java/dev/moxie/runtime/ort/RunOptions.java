package dev.moxie.runtime.ort;

/** How a session is run. */
public final class RunOptions extends Handle {
  private static final String DOING = "choosing options of a run";

  RunOptions(Library library) {
    super(library, Release.RUN_OPTIONS, library.make(DOING, Function.CREATE_RUN_OPTIONS));
  }

  /** Sets an option of onnxruntime_run_options_config_keys.h. */
  public void set(String key, String value) {
    library().set(DOING, Function.ADD_RUN_CONFIG_ENTRY, address(), key, value);
  }
}
