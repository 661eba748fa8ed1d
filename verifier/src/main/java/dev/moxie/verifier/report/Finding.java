package dev.moxie.verifier.report;

import org.jspecify.annotations.Nullable;

/**
 * Something that is not as it must be.
 *
 * @param file where, within the package or checkpoint
 * @param tensor which one, or null if the file as a whole
 * @param problem what is wrong, with what was expected and found
 */
public record Finding(String file, @Nullable String tensor, String problem) {
  @Override
  public String toString() {
    return file + (tensor == null ? "" : ", " + tensor) + ": " + problem;
  }
}
