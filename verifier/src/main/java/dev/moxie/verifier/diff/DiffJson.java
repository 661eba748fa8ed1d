package dev.moxie.verifier.diff;

import dev.moxie.format.json.StrictJson;

/** A comparison as one JSON object; its members are the components of {@link Diff}. */
public final class DiffJson {
  private DiffJson() {}

  /** One object, indented. */
  public static String of(Diff diff) {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(diff);
  }
}
