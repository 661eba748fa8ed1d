package dev.moxie.format.pack;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.format.safetensors.WeightHeader;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.MissingNode;

/**
 * Whether the checkpoint's own files have what the package says of them: its headers what leaves
 * were made from, so that they can have been made so (SPEC.md, rule I18), its config.json the keys
 * that were ignored (M12).
 */
final class SourceRules {
  private static final String CONFIG = "config.json";
  private static final Set<Dtype> CAST = EnumSet.of(Dtype.F32, Dtype.F16, Dtype.BF16);

  private final Map<String, Map<String, TensorInfo>> byFile = new HashMap<>();

  /** Scales may lie in another file than the values. */
  private final Map<String, TensorInfo> byName = new HashMap<>();

  /** How many elements of a source its views have. */
  private final Map<TensorInfo, Long> seen = new HashMap<>();

  private final Manifest.@Nullable Cast cast;

  private SourceRules(Manifest.@Nullable Cast cast) {
    this.cast = cast;
  }

  static void check(MoxiePackage pack) {
    checkIgnoredKeys(pack);
    var rules = new SourceRules(pack.manifest().provenance().cast());
    for (Manifest.SourceShard shard : pack.manifest().provenance().shards()) {
      WeightHeader header = pack.sourceHeader(shard);
      Map<String, TensorInfo> own = HashMap.newHashMap(header.tensors().size());
      header.tensors().forEach(info -> own.put(info.name(), info));
      rules.byFile.put(shard.file(), own);
      rules.byName.putAll(own);
    }
    String where = pack.folder().resolve(PackagePaths.INDEX).toString();
    for (IndexRow row : pack.rows()) {
      if (row.sourceFile() != null && row.sourceTensor() != null && !Made.isScales(row)) {
        rules.check(where, row, row.sourceFile(), row.sourceTensor());
      }
    }
    rules.checkSeen(where);
  }

  private static void checkIgnoredKeys(MoxiePackage pack) {
    List<String> keys = pack.manifest().provenance().ignoredConfigKeys();
    if (keys.isEmpty()) {
      return;
    }
    String where = pack.folder().resolve(PackagePaths.SOURCE + CONFIG).toString();
    JsonNode config =
        pack.sourceBytes(CONFIG)
            .<JsonNode>map(bytes -> StrictJson.parseObject(where, bytes))
            .orElse(MissingNode.getInstance());
    for (String key : keys) {
      if (!StrictJson.occurs(config, key)) {
        throw new CorruptException(
            where,
            "key \"" + key + "\", which provenance.ignoredConfigKeys names",
            "none",
            "config.json or manifest is not this package's, convert the checkpoint again");
      }
    }
  }

  private void check(String where, IndexRow row, String file, String tensor) {
    TensorInfo source = byFile.getOrDefault(file, Map.of()).get(tensor);
    if (source == null || !fits(row, source) || !applies(row, source)) {
      throw new CorruptException(
          where + ", tensor " + row.describe(),
          row.transform() + " of a tensor " + tensor + " of " + file + " to " + what(row),
          source == null ? "none of that name" : source.dtype() + " " + source.shape(),
          "index and " + PackagePaths.headerOf(file) + " disagree, convert the checkpoint again");
    }
    if (row.view() != null) {
      seen.merge(source, row.view().elements(), Long::sum);
    }
  }

  /** What is seen of a source, all leaves together, is all of it. */
  private void checkSeen(String where) {
    seen.forEach(
        (source, elements) -> {
          if (source.shape().elements() != elements) {
            throw new CorruptException(
                where + ", source tensor " + source.name(),
                "leaves of all elements of " + source.shape(),
                "leaves of " + elements + " elements",
                "index and headers disagree, convert the checkpoint again");
          }
        });
  }

  private static String what(IndexRow row) {
    return row.dtype() + " " + row.shape();
  }

  /** All of a source has the leaf's shape; a view is one because it is not that. */
  private static boolean fits(IndexRow row, TensorInfo source) {
    return row.view() == null
        ? source.shape().equals(inSource(row))
        : row.view().end() <= source.shape().elements()
            && !(row.view().isAllOf(source.shape().elements())
                && source.shape().equals(inSource(row)));
  }

  private static Shape inSource(IndexRow row) {
    return Made.of(row).inSource(row.shape());
  }

  private boolean applies(IndexRow row, TensorInfo source) {
    if (IndexRow.COPY.equals(row.transform())) {
      return source.dtype() == row.dtype();
    }
    Made made = Made.of(row);
    BlockScaled decoded = made.decoded();
    boolean summed = made.merged() && made.quantised() == null;
    boolean kept = summed && (cast == null || row.role().keepsItsDtype());
    return decoded == null
        ? CAST.contains(source.dtype())
            && (kept ? source.dtype() == row.dtype() : summed || source.dtype() != row.dtype())
        : decodes(decoded, made.elements(row.shape()), row.view() != null, source);
  }

  private boolean decodes(BlockScaled encoding, Shape elements, boolean part, TensorInfo source) {
    TensorInfo scales =
        encoding.scaleNamesInCheckpoints(source.name()).stream()
            .map(byName::get)
            .filter(Objects::nonNull)
            .findFirst()
            .orElse(null);
    return encoding.dtypes().contains(source.dtype())
        && scales != null
        && encoding.scaleDtypes().contains(scales.dtype())
        && (part || scales.shape().equals(encoding.grid(elements)));
  }
}
