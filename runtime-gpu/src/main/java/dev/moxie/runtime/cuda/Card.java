package dev.moxie.runtime.cuda;

/**
 * A graphics card.
 *
 * @param name as the driver calls it
 * @param major of its compute capability
 * @param minor of its compute capability
 * @param bytes of its memory
 */
public record Card(String name, int major, int minor, long bytes) {
  /** What code it runs, as in 9.0. */
  public String capability() {
    return major + "." + minor;
  }

  /** For people. */
  @Override
  public String toString() {
    return "%s (compute capability %s, %.0f GB)".formatted(name, capability(), bytes / 1e9);
  }
}
