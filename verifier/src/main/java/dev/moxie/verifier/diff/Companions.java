package dev.moxie.verifier.diff;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.Digests;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/** The files beside the weights: config, tokenizer, chat template, and whatever else there is. */
final class Companions {
  static final String CONFIG = "config.json";

  /** Says in which file a tensor is, which is no part of the model. */
  private static final String INDEX = "model.safetensors.index.json";

  /**
   * Files that say something about a model, or were recorded from it. A model is the same without
   * them; whatever else lies beside the weights may be a part of it.
   */
  private static final Pattern ABOUT =
      Pattern.compile(
          ".*\\.(md|safetensors|pdf|png|jpe?g|gif|svg|webp)|(.*/)?((licen[cs]e|notice)[^/]*"
              + "|\\.gitattributes|\\.gitignore)",
          Pattern.CASE_INSENSITIVE);

  /** What a tokenizer is made of; a model that is saved alone comes without. */
  private static final Pattern TOKENIZER =
      Pattern.compile(
          "tokenizer.*|special_tokens_map\\.json|added_tokens\\.json|vocab\\..*|merges\\.txt"
              + "|.*\\.(model|tiktoken)|chat_template\\..*");

  /** A larger JSON file is a vocabulary and not a list of settings; in bytes. */
  private static final int LARGEST_SETTINGS = 1 << 20;

  private final Side a;
  private final Side b;
  private final Spelling spelling;
  private final List<Diff.Change> settings = new ArrayList<>();
  private final List<Diff.Change> spelled = new ArrayList<>();
  private final List<Diff.Change> files = new ArrayList<>();
  private final List<String> notCompared = new ArrayList<>();

  /**
   * Compares the files of two models.
   *
   * @param ignoredConfigKeys keys of config.json that were declared to be without effect
   */
  Companions(Side a, Side b, Set<String> ignoredConfigKeys) {
    this.a = a;
    this.b = b;
    this.spelling = new Spelling(a, b, ignoredConfigKeys);
    Set<String> ofA = a.companions();
    Set<String> ofB = b.companions();
    Set<String> names = new TreeSet<>(ofA);
    names.addAll(ofB);
    names.remove(INDEX);
    leaveOutTokenizer("A", ofA, names);
    leaveOutTokenizer("B", ofB, names);
    if (names.remove(CONFIG)) {
      compare(CONFIG);
    }
    for (String name : names) {
      if (ofA.contains(name) && ofB.contains(name)) {
        compare(name);
      } else {
        byte[] bytes = (ofA.contains(name) ? a : b).companion(name);
        (Spelling.isRestated(name, bytes) ? spelled : files)
            .add(
                new Diff.Change(
                    name,
                    ofA.contains(name) ? words(bytes) : null,
                    ofB.contains(name) ? words(bytes) : null));
      }
    }
  }

  private void leaveOutTokenizer(String side, Set<String> files, Set<String> names) {
    if (files.stream().noneMatch(name -> TOKENIZER.matcher(name).matches())
        && names.removeIf(name -> TOKENIZER.matcher(name).matches())) {
      notCompared.add("the tokenizer, which " + side + " comes without");
    }
  }

  /** What was left out, in sentences. */
  List<String> notCompared() {
    return notCompared;
  }

  /** Keys of JSON files, those of config.json first. */
  List<Diff.Change> settings() {
    return settings;
  }

  /** Likewise, those that say the same in other words. */
  List<Diff.Change> spelled() {
    return spelled;
  }

  /** Other files, by name. */
  List<Diff.Change> files() {
    return files;
  }

  /** Whether a file is part of a model, and does not just tell of it. */
  static boolean isPart(Diff.Change file) {
    return !ABOUT.matcher(file.what()).matches();
  }

  private void compare(String name) {
    byte[] bytesOfA = a.companion(name);
    byte[] bytesOfB = b.companion(name);
    if (!Arrays.equals(bytesOfA, bytesOfB)
        && !(name.endsWith(".json") && comparedAsSettings(name, bytesOfA, bytesOfB))) {
      files.add(new Diff.Change(name, words(bytesOfA), words(bytesOfB)));
    }
  }

  private boolean comparedAsSettings(String name, byte[] bytesOfA, byte[] bytesOfB) {
    if (Math.max(bytesOfA.length, bytesOfB.length) > LARGEST_SETTINGS) {
      return false;
    }
    try {
      for (Diff.Change change :
          JsonChanges.of(
              "", StrictJson.parseObject(name, bytesOfA), StrictJson.parseObject(name, bytesOfB))) {
        (spelling.same(name, change) ? spelled : settings)
            .add(new Diff.Change(name + ": " + change.what(), change.a(), change.b()));
      }
      return true;
    } catch (CorruptException e) {
      // Some file beside the weights is no JSON object; that its bytes differ is all to say.
      return false;
    }
  }

  private static String words(byte[] bytes) {
    return "%d bytes, SHA-256 %s".formatted(bytes.length, Digests.sha256(bytes));
  }
}
