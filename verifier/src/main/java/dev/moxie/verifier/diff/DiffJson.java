package dev.moxie.verifier.diff;

import dev.moxie.format.error.MoxieException;
import dev.moxie.format.json.StrictJson;

/** A comparison as one JSON object; its members are the components of {@link Diff}. */
public final class DiffJson {
  /** What is left to say when nothing could be compared. */
  private record Failure(String error) {}

  private DiffJson() {}

  /** One object, indented. */
  public static String of(Diff diff) {
    return write(diff);
  }

  /** One object that says why there is no comparison. */
  public static String of(MoxieException failure) {
    return write(new Failure(String.valueOf(failure.getMessage())));
  }

  private static String write(Object value) {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(value);
  }
}
