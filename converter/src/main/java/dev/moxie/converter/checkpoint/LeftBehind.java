package dev.moxie.converter.checkpoint;

/**
 * A file or folder of a checkpoint that a conversion does not take along.
 *
 * @param name within the checkpoint's folder
 * @param reason in a few words
 */
public record LeftBehind(String name, String reason) {
  @Override
  public String toString() {
    return name + " (" + reason + ")";
  }
}
