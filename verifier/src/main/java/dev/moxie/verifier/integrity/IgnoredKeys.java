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
   * @throws CorruptException if the architecture was made from such a key
   */
  static void require(MoxiePackage pack) {
    Manifest.Provenance provenance = pack.manifest().provenance();
    boolean known = Families.named(provenance.family()).isPresent();
    Optional<byte[]> config = pack.sourceBytes(CONFIG);
    if (provenance.ignoredConfigKeys().isEmpty() || !known || config.isEmpty()) {
      return;
    }
    String found = provenance.ignoredConfigKeys().toString();
    try {
      var rest =
          Config.parse(
              PackagePaths.SOURCE + CONFIG,
              config.get(),
              Set.copyOf(provenance.ignoredConfigKeys()));
      Architecture described = Families.of(rest).describe(rest).architecture();
      // What became of layers for multi-token prediction does not follow from config.json alone.
      if (described.withPrediction(0).equals(pack.architecture().withPrediction(0))) {
        return;
      }
      found += ", without which it describes another";
    } catch (InvalidInputException e) {
      found += ", without which it says too little (" + e.getMessage() + ")";
    }
    throw new CorruptException(
        pack.folder().resolve(PackagePaths.MANIFEST) + ", provenance.ignoredConfigKeys",
        "keys of config.json that the architecture was not made from",
        found,
        "the manifest is altered, convert the checkpoint again");
  }
}
