package dev.moxie.converter.adapter;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Family;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Entry;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorInfo;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * A folder in which peft saved an adapter of low rank: adapter_config.json and
 * adapter_model.safetensors. Its header is validated; no factor is read.
 */
public final class LoraAdapter {
  private static final String CONFIG = "adapter_config.json";
  private static final String WEIGHTS = "adapter_model.safetensors";

  private final Path folder;
  private final List<Manifest.OtherFile> files;
  private final AdapterConfig config;
  private final Map<String, SourceTensor> tensors;

  private LoraAdapter(
      Path folder,
      List<Manifest.OtherFile> files,
      AdapterConfig config,
      Map<String, SourceTensor> tensors) {
    this.folder = folder;
    this.files = files;
    this.config = config;
    this.tensors = tensors;
  }

  /**
   * Opens an adapter.
   *
   * @throws UsageException if there is nothing of that name
   * @throws dev.moxie.format.error.InvalidInputException if it is no adapter, one that this build
   *     does not merge, or damaged
   */
  public static LoraAdapter open(Path folder) {
    if (Entry.of(folder) == Entry.NONE) {
      throw new UsageException(
          folder.toString(), "an adapter's folder", "nothing of that name", "check the path");
    }
    for (String name : List.of(CONFIG, WEIGHTS)) {
      if (Entry.of(folder.resolve(name)) != Entry.FILE) {
        throw notThere(folder, name);
      }
    }
    Path weights = folder.resolve(WEIGHTS);
    SafetensorsHeader header = SafetensorsFile.readHeader(weights);
    Map<String, SourceTensor> tensors = new TreeMap<>();
    for (TensorInfo info : header.tensors()) {
      tensors.put(
          info.name(),
          new SourceTensor(
              WEIGHTS,
              info.name(),
              info.dtype(),
              info.shape(),
              header.bytes() + info.begin(),
              info.bytes()));
    }
    AdapterConfig config = AdapterConfig.read(folder.resolve(CONFIG));
    byte[] json = StrictJson.readBounded(folder.resolve(CONFIG), StrictJson.MAX_FILE_BYTES);
    try (SafetensorsFile file = SafetensorsFile.open(weights)) {
      return new LoraAdapter(
          folder,
          List.of(
              new Manifest.OtherFile(CONFIG, json.length, Digests.sha256(json)),
              new Manifest.OtherFile(
                  WEIGHTS, file.bytes().byteSize(), Digests.of(file.bytes()).sha256())),
          config,
          tensors);
    }
  }

  public Path folder() {
    return folder;
  }

  /** The file that the factors are in. */
  public Path weights() {
    return folder.resolve(WEIGHTS);
  }

  /** What it was read from, with digests, sorted. */
  public List<Manifest.OtherFile> files() {
    return files;
  }

  AdapterConfig config() {
    return config;
  }

  /** By name, sorted. */
  Map<String, SourceTensor> tensors() {
    return tensors;
  }

  private static RuntimeException notThere(Path folder, String name) {
    if (name.equals(WEIGHTS) && Files.exists(folder.resolve("adapter_model.bin"))) {
      return new UnsupportedException(
          folder.toString(),
          "an adapter in " + WEIGHTS,
          "one in torch's pickle format, adapter_model.bin",
          "save it as safetensors first (peft: from_pretrained, then save_pretrained)");
    }
    return new CorruptException(
        folder.toString(),
        "an adapter, in " + CONFIG + " and " + WEIGHTS,
        "no file " + name,
        "pass the folder that peft's save_pretrained wrote");
  }

  /**
   * What it adds to which matrices of a model, by the names of their leaves.
   *
   * @throws dev.moxie.format.error.InvalidInputException if it has a tensor that adds to none, or
   *     lacks one
   */
  public Map<String, LowRank> updates(Family family, Architecture architecture) {
    return new Pairing(this, LinearMaps.of(family, architecture), architecture).updates();
  }

  /** What a package's manifest says of what was added. */
  public Manifest.Adapter provenance(Collection<LowRank> updates) {
    Map<Manifest.Update, Integer> counts = new LinkedHashMap<>();
    updates.forEach(
        u -> counts.merge(new Manifest.Update(u.rank(), u.scale(), 1), 1, Integer::sum));
    return new Manifest.Adapter(
        files,
        counts.entrySet().stream()
            .map(e -> new Manifest.Update(e.getKey().rank(), e.getKey().scale(), e.getValue()))
            .sorted(Manifest.Update.ORDER)
            .collect(Collectors.toList()));
  }
}
