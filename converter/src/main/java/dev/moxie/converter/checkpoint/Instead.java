package dev.moxie.converter.checkpoint;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a folder holds instead of the weights that are looked for.
 *
 * @param found in words, with some of the files
 * @param remedy what to do, without a full stop
 */
record Instead(String found, String remedy) {
  private static final int NAMES_SHOWN = 3;

  /** Files of a kind; a kind that stands earlier explains those that come later. */
  private record Kind(String words, Pattern names, String remedy) {
    Kind(String words, String names, String remedy) {
      this(words, Pattern.compile(names), remedy);
    }
  }

  private static final List<Kind> KINDS =
      List.of(
          new Kind(
              "an adapter, which holds only what it changes in another model",
              Adapter.FILES,
              Adapter.REMEDY),
          new Kind(
              "weights in their authors' original format",
              "params\\.json|consolidated.*",
              "fetch the Hugging Face edition of the model, or convert these with the script that"
                  + " transformers has for its family; docs/commands.md has what makes Mixtral's"
                  + " convert as they are"),
          new Kind(
              "weights as Grok-1 is released",
              NumberedFiles.NAMES,
              "write a config.json beside them: docs/grok-1 has one with the numbers of the"
                  + " release"),
          new Kind(
              "weights in GGUF", ".*\\.gguf", "convert the checkpoint that they were made from"),
          new Kind(
              "weights in a training framework's checkpoint",
              ".*\\.distcp|.*_(model|optim)_states\\.pt|latest_checkpointed_iteration\\.txt",
              "save the model as safetensors with the tool that trained it"),
          new Kind(
              "weights in torch's pickle format",
              "(?!optimizer|scheduler|rng_state|scaler|training_args).*\\.(bin|pt|pth|ckpt)",
              "save them as safetensors first (transformers: from_pretrained, then"
                  + " save_pretrained)"),
          new Kind(
              "weights for another framework",
              ".*\\.(h5|msgpack|npz|onnx|ot|tflite|mlmodel|mlpackage|nemo|tar)",
              "fetch the edition in safetensors, or save one"),
          new Kind(
              "weight files that no index names",
              ".*-\\d+-of-\\d+\\.safetensors",
              "fetch the model.safetensors.index.json that belongs to them"),
          new Kind(
              "a download that has not ended",
              ".*\\.(aria2|crdownload|download|incomplete|part)",
              "let it end, or start it anew"),
          new Kind(
              "weights under another name",
              ".*\\.safetensors",
              "if one of them is the whole model, name it model.safetensors"));

  /** What explains that a folder's weights are not there, if anything does. */
  static Optional<Instead> of(Path folder) {
    Optional<Instead> beside = in(folder, "");
    if (beside.isPresent()) {
      return beside;
    }
    List<String> names = names(folder);
    List<String> inside =
        names.stream()
            .filter(name -> Files.isRegularFile(folder.resolve(name).resolve("config.json")))
            .toList();
    return inside.isEmpty()
        ? names.stream().flatMap(name -> in(folder.resolve(name), name + "/").stream()).findFirst()
        : Optional.of(new Instead("a checkpoint further down: " + some(inside), "pass its folder"));
  }

  private static Optional<Instead> in(Path folder, String prefix) {
    List<String> names = names(folder);
    for (Kind kind : KINDS) {
      List<String> those =
          names.stream().filter(kind.names().asMatchPredicate()).map(prefix::concat).toList();
      if (!those.isEmpty()) {
        return Optional.of(new Instead(kind.words() + ": " + some(those), kind.remedy()));
      }
    }
    return Optional.empty();
  }

  private static List<String> names(Path folder) {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String some(List<String> names) {
    String more =
        names.size() > NAMES_SHOWN ? " and " + (names.size() - NAMES_SHOWN) + " more" : "";
    return names.stream().limit(NAMES_SHOWN).collect(Collectors.joining(", ")) + more;
  }
}
