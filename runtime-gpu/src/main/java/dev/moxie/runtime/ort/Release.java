package dev.moxie.runtime.ort;

/** The functions that take back what others handed out, and their places in the same table. */
enum Release {
  ENVIRONMENT(92),
  STATUS(93),
  MEMORY_INFO(94),
  SESSION(95),
  VALUE(96),
  RUN_OPTIONS(97),
  SESSION_OPTIONS(100),
  THREADING_OPTIONS(122),
  IO_BINDING(135),
  CUDA_PROVIDER_OPTIONS(208);

  private final int index;

  Release(int index) {
    this.index = index;
  }

  int index() {
    return index;
  }
}
