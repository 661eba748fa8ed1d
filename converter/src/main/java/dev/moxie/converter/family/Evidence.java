package dev.moxie.converter.family;

import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What supports the claim that a family is converted and computed rightly, and what does not: the
 * resource {@code evidence.json}, which a test holds to the fixtures.
 *
 * @param family its name
 * @param models released ones that are of it
 * @param brings what of its forward pass or of its files others do not have
 * @param checkpoints of fixtures, converted, exported and computed in every test run
 * @param references implementations that recorded their traces
 * @param totals released configurations whose parameter counts are held to the published ones; null
 *     where no weights are public, so that names and config.json are ours
 * @param fused why the fused graph does not run it; null where it does
 * @param open what is not verified
 */
public record Evidence(
    String family,
    String models,
    String brings,
    List<String> checkpoints,
    List<String> references,
    @Nullable List<String> totals,
    @Nullable String fused,
    List<String> open) {
  private static final String RESOURCE = "evidence.json";

  /** That of every family, in the order of {@link Families#ALL}. */
  public static List<Evidence> all() {
    try (InputStream in = Evidence.class.getResourceAsStream(RESOURCE)) {
      if (in == null) {
        throw new IllegalStateException(RESOURCE + " is not among the resources");
      }
      return List.of(StrictJson.mapper(false).readValue(in.readAllBytes(), Evidence[].class));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The family itself. */
  public Family of() {
    return Families.named(family).orElseThrow();
  }
}
