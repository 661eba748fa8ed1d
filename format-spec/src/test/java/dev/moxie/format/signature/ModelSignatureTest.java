package dev.moxie.format.signature;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.MismatchException;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Signatures of folders: others' are understood, and whatever was changed is named. */
class ModelSignatureTest {
  private static final Path PUBLISHED =
      Path.of("src/test/resources/dev/moxie/format/signature").toAbsolutePath();

  @TempDir Path work;
  private Path model;
  private Path key;
  private Path publicKey;
  private Path signature;
  private KeyPair pair;

  @BeforeEach
  void sign() throws IOException, GeneralSecurityException {
    model = Files.createDirectories(work.resolve("model"));
    Files.writeString(model.resolve("config.json"), "{}");
    Files.writeString(Files.createDirectories(model.resolve("a")).resolve("c"), "weights");
    Files.writeString(model.resolve("a-b"), "more");
    Files.writeString(Files.createDirectories(model.resolve(".git")).resolve("HEAD"), "main");
    pair = pair("secp256r1");
    key = pem("key", "PRIVATE KEY", pair.getPrivate().getEncoded());
    publicKey = pem("public", "PUBLIC KEY", pair.getPublic().getEncoded());
    signature = work.resolve("model.sig");
    assertEquals(3, ModelSignature.sign(model, key, publicKey, signature));
  }

  private static KeyPair pair(String curve) throws GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(new ECGenParameterSpec(curve));
    return generator.generateKeyPair();
  }

  private Path pem(String name, String kind, byte[] der) throws IOException {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    return Files.writeString(
        work.resolve(name + ".pem"),
        "-----BEGIN %1$s-----%n%2$s%n-----END %1$s-----%n".formatted(kind, body));
  }

  private int check() {
    return ModelSignature.read(signature).requireOf(model, publicKey);
  }

  @ParameterizedTest
  @CsvSource({
    "v1.0.0-elliptic-key, v1.0.0-elliptic-key/signme-1, 1",
    "v1.1.0-elliptic-key, v1.1.0-elliptic-key, 2"
  })
  void publishedSignaturesAreUnderstood(String folder, String signed, int files) {
    ModelSignature theirs = ModelSignature.read(PUBLISHED.resolve(folder).resolve("model.sig"));
    Path by = PUBLISHED.resolve("signing-key-pub.pem");
    assertEquals(files, theirs.requireOf(PUBLISHED.resolve(signed), by));
  }

  @Test
  void whatAnOlderToolIgnoredWithoutSayingSoIsAFileThatWasNotSigned() throws IOException {
    Path folder = PUBLISHED.resolve("v1.0.1-elliptic-key");
    Path by = PUBLISHED.resolve("signing-key-pub.pem");
    ModelSignature theirs = ModelSignature.read(folder.resolve("model.sig"));
    var found = assertThrows(MismatchException.class, () -> theirs.requireOf(folder, by));
    assertTrue(found.getMessage().contains("ignore-me: expected no file"), found::getMessage);
    Path alone = Files.createDirectory(work.resolve("alone"));
    for (String name : List.of("signme-1", "signme-2")) {
      Files.copy(folder.resolve(name), alone.resolve(name));
    }
    assertEquals(2, theirs.requireOf(alone, by));
  }

  @Test
  void aCertificateIsAnotherToolsToVerify() {
    Path theirs = PUBLISHED.resolve("v1.1.0-certificate/model.sig");
    var found = assertThrows(UnsupportedException.class, () -> ModelSignature.read(theirs));
    assertTrue(found.getMessage().contains("x509CertificateChain"), found::getMessage);
  }

  @ParameterizedTest
  @ValueSource(strings = {"secp256r1", "secp384r1", "secp521r1"})
  void whatIsSignedIsVerified(String curve) throws IOException, GeneralSecurityException {
    KeyPair other = pair(curve);
    key = pem("key", "PRIVATE KEY", other.getPrivate().getEncoded());
    publicKey = pem("public", "PUBLIC KEY", other.getPublic().getEncoded());
    ModelSignature.sign(model, key, publicKey, signature);
    assertEquals(3, check());
  }

  @Test
  void filesAreSignedFolderByFolder() {
    JsonNode statement = statement();
    assertEquals(
        List.of("a/c", "a-b", "config.json"),
        statement
            .path("predicate")
            .path("resources")
            .valueStream()
            .map(r -> r.path("name").asString())
            .toList());
    assertEquals("model", statement.path("subject").path(0).path("name").asString());
  }

  private ObjectNode statement() {
    String payload =
        StrictJson.readObject(signature).path("dsseEnvelope").path("payload").asString();
    return StrictJson.parseObject("statement", Base64.getDecoder().decode(payload));
  }

  @Test
  void anotherFileIsNamed() throws IOException {
    Files.writeString(model.resolve("a/c"), "Weights");
    assertNamed("a/c: expected the bytes that were signed, found others");
    Files.delete(model.resolve("a/c"));
    assertNamed("a/c: expected the file that was signed, found none");
    Files.writeString(model.resolve("a/c"), "weights");
    Files.writeString(model.resolve("a/d"), "");
    assertNamed("a/d: expected no file that was not signed, found one");
    Files.delete(model.resolve("a/d"));
    Files.writeString(model.resolve(".git/HEAD"), "other");
    assertEquals(3, check());
  }

  private void assertNamed(String words) {
    var found = assertThrows(MismatchException.class, this::check);
    assertTrue(found.getMessage().contains(words), found::getMessage);
  }

  @Test
  void aLinkIsNoFile() throws IOException {
    Files.createSymbolicLink(model.resolve("link"), model.resolve("a-b"));
    assertTrue(assertThrows(CorruptException.class, this::check).getMessage().contains("a link"));
  }

  @Test
  void anotherKeyIsRefusedWithAndWithoutItsName() throws IOException, GeneralSecurityException {
    publicKey = pem("other", "PUBLIC KEY", pair("secp256r1").getPublic().getEncoded());
    assertNamed("found one by the key " + SignatureKeys.hint(pair.getPublic()));
    edit("\"hint\":\"[0-9a-f]*\"", "\"hint\":\"\"");
    assertNamed("found one by another key");
    publicKey = pem("other", "PUBLIC KEY", pair("secp384r1").getPublic().getEncoded());
    assertNamed("found one by another key");
  }

  private void edit(String pattern, String text) throws IOException {
    String bundle = Files.readString(signature);
    String changed = bundle.replaceFirst(pattern, text);
    assertTrue(!changed.equals(bundle), pattern);
    Files.writeString(signature, changed);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bundle.v0.3 | bundle.v0.2 | mediaType",
        "\"publicKey\":.[^}]*. | \"none\":{} | publicKey",
        "vnd.in-toto.json | vnd.other+json | payloadType",
        "\"payload\":\"e | \"payload\":\"! | base64",
        "\"payload\":\" | \"other\":\" | payload",
        "\"signatures\":.[^]]*. | \"signatures\":[] | one signature",
        "\"signatures\":.[^]]*. | \"signatures\":[1] | sig",
        "\"sig\":\"[^\"]*\" | \"sig\":7 | sig",
        "\"sig\":\" | \"sig\":\"* | base64",
        "\"dsseEnvelope\": | \"messageSignature\": | payloadType",
      })
  void aBrokenBundleIsRefusedByItsPlace(String pattern, String text, String named)
      throws IOException {
    edit(pattern, text);
    var found = assertThrows(MoxieException.class, this::check);
    assertTrue(found.getMessage().contains(named), found::getMessage);
  }

  @Test
  void anotherStatementIsNotWhatWasSigned() throws IOException {
    edit("\"payload\":\"[^\"]*\"", "\"payload\":\"e30=\"");
    assertNamed("another key, or of something else");
  }

  @Test
  void whatTheKeySignedBesidesIsRefusedByItsPlace() throws IOException, GeneralSecurityException {
    Map<String, UnaryOperator<String>> changes =
        Map.ofEntries(
            Map.entry("predicateType", s -> s.replace("signature/v1.0", "signature/v2.0")),
            Map.entry("_type", s -> s.replace("Statement/v1", "Statement/v2")),
            Map.entry("method", s -> s.replace("\"files\"", "\"shards\"")),
            Map.entry(
                "hash_type",
                s -> s.replace("\"hash_type\":\"sha256\"", "\"hash_type\":\"blake3\"")),
            Map.entry("allow_symlinks", s -> s.replace("false", "true")),
            Map.entry(
                "algorithm",
                s -> s.replace("\"algorithm\":\"sha256\"", "\"algorithm\":\"blake2b\"")),
            Map.entry(
                "ignore_paths",
                s -> s.replaceFirst("\"ignore_paths\":.[^]]*.", "\"ignore_paths\":3")),
            Map.entry(
                "resources", s -> s.replace("\"resources\":[", "\"resources\":{},\"others\":[")),
            Map.entry("twice", s -> s.replace("\"a-b\"", "\"a/c\"")),
            Map.entry(
                "hexadecimal", s -> s.replaceFirst("\"digest\":\"[0-9a-f]", "\"digest\":\"x")),
            Map.entry(
                "of all",
                s -> s.replaceFirst("\"sha256\":\"[0-9a-f]{64}", "\"sha256\":\"" + "0".repeat(64))),
            Map.entry("a JSON object", s -> "[]"),
            Map.entry("subject", s -> s.replace("\"subject\"", "\"object\"")));
    String right = StrictJson.mapper(false).writeValueAsString(statement());
    for (Map.Entry<String, UnaryOperator<String>> change : changes.entrySet()) {
      String wrong = change.getValue().apply(right);
      assertTrue(!wrong.equals(right), change.getKey());
      signAnything(wrong);
      var found = assertThrows(MoxieException.class, this::check, change.getKey());
      assertTrue(found.getMessage().contains(change.getKey()), found::getMessage);
    }
    signAnything(right);
    assertEquals(3, check());
  }

  /** As DSSE says it, written once more. */
  private void signAnything(String statement) throws IOException, GeneralSecurityException {
    byte[] payload = statement.getBytes(StandardCharsets.UTF_8);
    Signature signer = Signature.getInstance("SHA256withECDSA");
    signer.initSign(pair.getPrivate());
    signer.update(
        ("DSSEv1 28 application/vnd.in-toto+json " + payload.length + " ")
            .getBytes(StandardCharsets.UTF_8));
    signer.update(payload);
    Base64.Encoder base64 = Base64.getEncoder();
    edit("\"payload\":\"[^\"]*\"", "\"payload\":\"" + base64.encodeToString(payload) + " \"");
    edit(" \"", "\"");
    edit("\"sig\":\"[^\"]*\"", "\"sig\":\"" + base64.encodeToString(signer.sign()) + "\"");
  }

  @Test
  void aNameThatIsSignedIsNeverAPathToRead() throws IOException, GeneralSecurityException {
    String right = StrictJson.mapper(false).writeValueAsString(statement());
    Path secret = Files.writeString(work.resolve("secret"), "s");
    String digest = Digests.sha256("s".getBytes(StandardCharsets.UTF_8));
    for (String name : List.of("../secret", secret.toString(), "a/../../secret", "\\u0000", "")) {
      String wrong =
          right.replaceFirst(
              "\\{\"name\":\"a-b\"[^}]*\\}",
              "{\"name\":\"%s\",\"algorithm\":\"sha256\",\"digest\":\"%s\"}"
                  .formatted(name.replace("\\", "\\\\"), digest));
      StringBuilder all = new StringBuilder();
      StrictJson.parseObject("wrong", wrong.getBytes(StandardCharsets.UTF_8))
          .path("predicate")
          .path("resources")
          .forEach(resource -> all.append(resource.path("digest").asString()));
      byte[] digests = HexFormat.of().parseHex(all);
      signAnything(
          wrong.replaceFirst(
              "\"sha256\":\"[0-9a-f]{64}", "\"sha256\":\"" + Digests.sha256(digests)));
      assertNamed("expected the file that was signed, found none");
    }
  }

  @Test
  void noDamageIsMoreThanASentence() throws IOException {
    byte[] right = Files.readAllBytes(signature);
    var random = new Random(7);
    for (int i = 0; i < 600; i++) {
      byte[] wrong = Arrays.copyOf(right, i % 3 == 0 ? random.nextInt(right.length) : right.length);
      for (int j = 0; j < i % 3 && wrong.length > 0; j++) {
        wrong[random.nextInt(wrong.length)] = (byte) random.nextInt(256);
      }
      Files.write(signature, wrong);
      try {
        check();
      } catch (MoxieException e) {
        assertTrue(e.getMessage().contains("expected"), e::getMessage);
      }
    }
  }

  @Test
  void signingRefusesWhatWouldNotBeVerified() throws IOException, GeneralSecurityException {
    Path within = model.resolve("model.sig");
    assertThrows(UsageException.class, () -> ModelSignature.sign(model, key, publicKey, within));
    Path other = pem("other", "PUBLIC KEY", pair("secp256r1").getPublic().getEncoded());
    Path target = work.resolve("new.sig");
    var found =
        assertThrows(CorruptException.class, () -> ModelSignature.sign(model, key, other, target));
    assertTrue(found.getMessage().contains("the public half of"), found::getMessage);
    assertTrue(Files.notExists(target));
    for (String kind : List.of("EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "CERTIFICATE")) {
      Path unknown = pem("unknown", kind, new byte[9]);
      var refused =
          assertThrows(
              UnsupportedException.class,
              () -> ModelSignature.sign(model, unknown, publicKey, target));
      assertTrue(refused.getMessage().contains(kind), refused::getMessage);
    }
    Path broken = pem("broken", "PRIVATE KEY", new byte[9]);
    assertThrows(
        CorruptException.class, () -> ModelSignature.sign(model, broken, publicKey, target));
    Files.writeString(target, "something of theirs");
    assertThrows(UsageException.class, () -> ModelSignature.sign(model, key, publicKey, target));
  }
}
