package dev.moxie.verifier.integrity;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.Families;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import java.util.Optional;
import java.util.Set;

/**
 * Whether the keys of config.json that a package claims were ignored can have been: the
 * architecture must be what the rest of config.json describes.
 */
final class IgnoredKeys {
  private static final String CONFIG = "config.json";

  private IgnoredKeys() {}

  /**
   * Looks at packages that claim any, of families that are known.
   *
   * @throws CorruptException if config.json does not describe the architecture without them
   */
  static void require(MoxiePackage pack) {
    Manifest.Provenance provenance = pack.manifest().provenance();
    boolean known = Families.named(provenance.family()).isPresent();
    Optional<byte[]> config = pack.sourceBytes(CONFIG);
    if (provenance.ignoredConfigKeys().isEmpty() || !known || config.isEmpty()) {
      return;
    }
    String ignored = provenance.ignoredConfigKeys().toString();
    Architecture described;
    try {
      var rest =
          Config.parse(
              PackagePaths.SOURCE + CONFIG,
              config.get(),
              Set.copyOf(provenance.ignoredConfigKeys()));
      described = Families.of(rest).describe(rest).architecture();
    } catch (InvalidInputException e) {
      // A key may be missing because it is claimed to be ignored, or was never there.
      throw new CorruptException(
          pack.folder().resolve(PackagePaths.SOURCE + CONFIG).toString(),
          "a config.json that describes a model without what ignoredConfigKeys of %s lists, %s"
              .formatted(PackagePaths.MANIFEST, ignored),
          "one that does not (" + e.getMessage() + ")",
          "one of the two is not what was converted, convert the checkpoint again");
    }
    // What became of layers for multi-token prediction does not follow from config.json alone.
    if (!described.withPrediction(0).equals(pack.architecture().withPrediction(0))) {
      throw new CorruptException(
          pack.folder().resolve(PackagePaths.MANIFEST) + ", provenance.ignoredConfigKeys",
          "keys of config.json that the architecture was not made from",
          ignored + ", without which config.json describes another",
          "one of the two is not what was converted, convert the checkpoint again");
    }
  }
}
