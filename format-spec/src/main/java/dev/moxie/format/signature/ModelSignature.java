package dev.moxie.format.signature;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.MismatchException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.json.JsonWords;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A signature of all files of a folder by a key of one's own, as OpenSSF Model Signing 1.0 writes
 * it (sigstore/model-transparency {@code src/model_signing/_signing/signing.py}): an in-toto
 * statement (in-toto/attestation {@code spec/v1/statement.md}) of the files' SHA-256, signed as a
 * DSSE envelope (secure-systems-lab/dsse {@code protocol.md}, version 1) within a bundle of
 * Sigstore (sigstore/protobuf-specs, version 0.3), which names the public key by the SHA-256 of its
 * PEM.
 */
public final class ModelSignature {
  private static final String MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json";
  private static final String PAYLOAD = "application/vnd.in-toto+json";
  private static final String STATEMENT = "https://in-toto.io/Statement/v1";
  private static final String PREDICATE = "https://model_signing/signature/v1.0";
  private static final String START = "{\"mediaType\":\"" + MEDIA + "\"";

  private final Path file;
  private final String hint;
  private final byte[] payload;
  private final byte[] signature;

  private ModelSignature(Path file, String hint, byte[] payload, byte[] signature) {
    this.file = file;
    this.hint = hint;
    this.payload = payload;
    this.signature = signature;
  }

  /**
   * Signs a folder, or a file alone.
   *
   * @param target where the signature goes: outside the folder, which it would change
   * @return how many files were signed
   * @throws CorruptException where the keys are not two halves of one
   */
  public static int sign(Path folder, Path privateKey, Path publicKey, Path target) {
    if (StagedFile.place(target).startsWith(StagedFile.place(folder))) {
      throw new UsageException(
          target.toString(),
          "a file outside " + folder,
          "one within, which the folder does not have without it",
          "choose another place");
    }
    PrivateKey key = SignatureKeys.privateKey(privateKey);
    PublicKey half = SignatureKeys.publicKey(publicKey);
    try (StagedFile staged = StagedFile.create(target, Signature.of(START))) {
      Path real = folder.toRealPath();
      SignedFiles files = SignedFiles.of(real, SignedFiles.OF_GIT);
      byte[] statement = statement(real, files);
      byte[] signed = SignatureKeys.sign(key, envelope(statement));
      if (!SignatureKeys.isBy(half, envelope(statement), signed)) {
        throw new CorruptException(
            publicKey.toString(),
            "the public half of " + privateKey,
            "another key",
            "write it with openssl pkey -pubout");
      }
      staged.stream().write(bundle(SignatureKeys.hint(half), statement, signed));
      staged.finish();
      return files.digests().size();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] statement(Path folder, SignedFiles files) {
    ObjectNode statement = StrictJson.mapper(false).createObjectNode();
    statement.put("_type", STATEMENT);
    ObjectNode subject = statement.putArray("subject").addObject();
    Path name = folder.getFileName();
    subject.put("name", name == null ? "/" : name.toString());
    subject.putObject("digest").put("sha256", files.root());
    statement.put("predicateType", PREDICATE);
    ObjectNode predicate = statement.putObject("predicate");
    ObjectNode serialization = predicate.putObject("serialization");
    serialization.put("method", "files").put("hash_type", "sha256").put("allow_symlinks", false);
    ArrayNode ignored = serialization.putArray("ignore_paths");
    files.ignored().forEach(ignored::add);
    ArrayNode resources = predicate.putArray("resources");
    files
        .digests()
        .forEach(
            (file, digest) ->
                resources
                    .addObject()
                    .put("name", file)
                    .put("algorithm", "sha256")
                    .put("digest", digest));
    return StrictJson.mapper(false).writeValueAsBytes(statement);
  }

  private static byte[] bundle(String hint, byte[] statement, byte[] signed) {
    ObjectNode bundle = StrictJson.mapper(false).createObjectNode();
    bundle.put("mediaType", MEDIA);
    ObjectNode material = bundle.putObject("verificationMaterial");
    material.putObject("publicKey").put("hint", hint);
    material.putArray("tlogEntries");
    ObjectNode dsse = bundle.putObject("dsseEnvelope");
    dsse.put("payload", Base64.getEncoder().encodeToString(statement));
    dsse.put("payloadType", PAYLOAD);
    ObjectNode signature = dsse.putArray("signatures").addObject();
    signature.put("sig", Base64.getEncoder().encodeToString(signed)).put("keyid", "");
    return StrictJson.mapper(false).writeValueAsBytes(bundle);
  }

  /** What is signed of a statement: DSSE's pre-authentication encoding. */
  private static byte[] envelope(byte[] statement) {
    String head = "DSSEv1 %d %s %d ".formatted(PAYLOAD.length(), PAYLOAD, statement.length);
    byte[] start = head.getBytes(StandardCharsets.US_ASCII);
    byte[] whole = Arrays.copyOf(start, start.length + statement.length);
    System.arraycopy(statement, 0, whole, start.length, statement.length);
    return whole;
  }

  /**
   * Reads a bundle, of which nothing is believed yet.
   *
   * @throws CorruptException if it is none
   * @throws UnsupportedException if it was made by a certificate, or is of another kind
   */
  public static ModelSignature read(Path file) {
    ObjectNode bundle = StrictJson.readObject(file);
    String where = file.toString();
    requireText(where, bundle, "mediaType", MEDIA);
    JsonNode material = bundle.path("verificationMaterial");
    if (!material.path("publicKey").isObject()) {
      throw new UnsupportedException(
          where + ", verificationMaterial",
          "a publicKey",
          material.propertyNames().isEmpty() ? "none" : String.join(", ", material.propertyNames()),
          "have it signed with a key, or verify it with the tool that signed it");
    }
    JsonNode hint = material.path("publicKey").path("hint");
    JsonNode dsse = bundle.path("dsseEnvelope");
    requireText(where + ", dsseEnvelope", dsse, "payloadType", PAYLOAD);
    JsonNode signatures = dsse.path("signatures");
    if (!signatures.isArray() || signatures.size() != 1) {
      throw corrupt(where + ", dsseEnvelope.signatures", "one signature", JsonWords.of(signatures));
    }
    return new ModelSignature(
        file,
        hint.isString() ? hint.asString() : "",
        bytes(where + ", dsseEnvelope", dsse, "payload"),
        bytes(where + ", dsseEnvelope.signatures", signatures.get(0), "sig"));
  }

  /**
   * Holds a folder to it.
   *
   * @return how many files were signed
   * @throws MismatchException if another key signed it, or a file is not what was signed
   * @throws CorruptException if the key signed something that is no statement of files
   * @throws UnsupportedException if it signed a statement of another kind
   */
  public int requireOf(Path folder, Path publicKey) {
    PublicKey key = SignatureKeys.publicKey(publicKey);
    String own = SignatureKeys.hint(key);
    if (!hint.isEmpty() && !hint.equals(own)) {
      throw otherKey(publicKey, own, "the key " + hint);
    }
    if (!SignatureKeys.isBy(key, envelope(payload), signature)) {
      throw otherKey(publicKey, own, "another key, or of something else");
    }
    SignedFiles files = files();
    try {
      files.requireOf(folder, folder.toRealPath());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return files.digests().size();
  }

  private MismatchException otherKey(Path publicKey, String own, String found) {
    return new MismatchException(
        file.toString(),
        "a signature by the key %s (%s)".formatted(own, publicKey),
        "one by " + found,
        "pass the key of whoever signed it, and trust nothing of it before");
  }

  private SignedFiles files() {
    String where = file + ", statement";
    ObjectNode statement = StrictJson.parseObject(where, payload);
    requireText(where, statement, "_type", STATEMENT);
    requireText(where, statement, "predicateType", PREDICATE);
    JsonNode predicate = statement.path("predicate");
    JsonNode serialization = predicate.path("serialization");
    requireText(where + ", serialization", serialization, "method", "files");
    requireText(where + ", serialization", serialization, "hash_type", "sha256");
    JsonNode links = serialization.path("allow_symlinks");
    if (!links.isBoolean() || links.asBoolean()) {
      throw new UnsupportedException(
          where + ", serialization.allow_symlinks", "false", JsonWords.of(links), "sign the files");
    }
    Map<String, String> digests = new LinkedHashMap<>();
    for (JsonNode resource : list(where, predicate, "resources")) {
      requireText(where + ", resources", resource, "algorithm", "sha256");
      String name = text(where + ", resources", resource, "name");
      if (digests.put(name, digest(where + ", " + name, resource, "digest")) != null) {
        throw corrupt(where + ", resources", "each file once", name + " twice");
      }
    }
    List<String> ignored = new ArrayList<>();
    if (serialization.has("ignore_paths")) {
      for (JsonNode path : list(where, serialization, "ignore_paths")) {
        ignored.add(path.isString() ? path.asString() : "");
      }
    }
    var files = new SignedFiles(digests, ignored);
    JsonNode subjects = list(where, statement, "subject");
    String root = digest(where + ", subject", subjects.path(0).path("digest"), "sha256");
    if (subjects.size() != 1 || !root.equals(files.root())) {
      throw corrupt(
          where + ", subject", "one, with the digest " + files.root() + " of all", "another");
    }
    return files;
  }

  private static JsonNode list(String where, JsonNode object, String key) {
    JsonNode list = object.path(key);
    if (!list.isArray()) {
      throw corrupt(where + ", " + key, "a list", JsonWords.of(list));
    }
    return list;
  }

  private static String text(String where, JsonNode object, String key) {
    JsonNode value = object.path(key);
    if (!value.isString()) {
      throw corrupt(where + ", " + key, "a text", JsonWords.of(value));
    }
    return Objects.requireNonNull(value.asString());
  }

  /** Refuses what means something else. */
  private static void requireText(String where, JsonNode object, String key, String expected) {
    String found = text(where, object, key);
    if (!found.equals(expected)) {
      throw new UnsupportedException(
          where + ", " + key, expected, found, "verify it with the tool that signed it");
    }
  }

  private static String digest(String where, JsonNode object, String key) {
    String digest = text(where, object, key);
    if (!digest.matches("[0-9a-f]{64}")) {
      throw corrupt(where + ", " + key, "64 hexadecimal digits", "\"" + digest + "\"");
    }
    return digest;
  }

  private static byte[] bytes(String where, JsonNode object, String key) {
    try {
      return Base64.getDecoder().decode(text(where, object, key));
    } catch (IllegalArgumentException e) {
      throw corrupt(where + ", " + key, "base64", "something else");
    }
  }

  private static CorruptException corrupt(String where, String expected, String found) {
    return new CorruptException(where, expected, found, "fetch the signature again");
  }
}
