package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorInfo;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
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

  private SourceRules() {}

  static void check(MoxiePackage pack) {
    checkIgnoredKeys(pack);
    var rules = new SourceRules();
    for (Manifest.SourceShard shard : pack.manifest().provenance().shards()) {
      SafetensorsHeader header = pack.sourceHeader(shard);
      Map<String, TensorInfo> own = HashMap.newHashMap(header.tensors().size());
      header.tensors().forEach(info -> own.put(info.name(), info));
      rules.byFile.put(shard.file(), own);
      rules.byName.putAll(own);
    }
    String where = pack.folder().resolve(PackagePaths.INDEX).toString();
    for (IndexRow row : pack.rows()) {
      if (row.sourceFile() != null && row.sourceTensor() != null) {
        rules.check(where, row, row.sourceFile(), row.sourceTensor());
      }
    }
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
    if (source == null || !source.shape().equals(row.shape()) || !applies(row, source)) {
      throw new CorruptException(
          where + ", tensor " + row.describe(),
          row.transform() + " of a tensor " + tensor + " of " + file + " to " + what(row),
          source == null ? "none of that name" : source.dtype() + " " + source.shape(),
          "index and " + PackagePaths.headerOf(file) + " disagree, convert the checkpoint again");
    }
  }

  private static String what(IndexRow row) {
    return row.dtype() + " " + row.shape();
  }

  private boolean applies(IndexRow row, TensorInfo source) {
    return switch (row.transform()) {
      case IndexRow.COPY -> source.dtype() == row.dtype();
      case IndexRow.CAST -> source.dtype() != row.dtype() && CAST.contains(source.dtype());
      case IndexRow.DEQUANTISE_FP8_BLOCK -> {
        @Nullable TensorInfo scales = byName.get(source.name() + Fp8Blocks.SOURCE_SCALES);
        yield source.dtype() == Fp8Blocks.VALUES
            && scales != null
            && scales.dtype() == Fp8Blocks.SCALES
            && scales.shape().equals(Fp8Blocks.grid(source.shape()));
      }
      case null, default -> false;
    };
  }
}
