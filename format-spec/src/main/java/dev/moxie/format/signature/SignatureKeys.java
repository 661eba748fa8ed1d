package dev.moxie.format.signature;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.Digests;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.interfaces.ECKey;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.List;

/** Keys of elliptic curves in PEM files (RFC 7468), and signatures by them. */
final class SignatureKeys {
  private static final long MAX_BYTES = 1 << 16;

  private SignatureKeys() {}

  /** A private key in PKCS #8, without a password. */
  static PrivateKey privateKey(Path file) {
    byte[] der = der(file, "PRIVATE KEY");
    try {
      return known(file, factory().generatePrivate(new PKCS8EncodedKeySpec(der)));
    } catch (InvalidKeySpecException e) {
      throw broken(file, "a private key");
    }
  }

  /** A public key as SubjectPublicKeyInfo. */
  static PublicKey publicKey(Path file) {
    byte[] der = der(file, "PUBLIC KEY");
    try {
      return known(file, factory().generatePublic(new X509EncodedKeySpec(der)));
    } catch (InvalidKeySpecException e) {
      throw broken(file, "a public key");
    }
  }

  /** How signatures name a public key: the SHA-256 of its PEM. */
  static String hint(PublicKey key) {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key.getEncoded());
    String pem = "-----BEGIN PUBLIC KEY-----\n" + body + "\n-----END PUBLIC KEY-----\n";
    return Digests.sha256(pem.getBytes(StandardCharsets.US_ASCII));
  }

  static byte[] sign(PrivateKey key, byte[] bytes) {
    try {
      Signature signature = Signature.getInstance(algorithm((ECKey) key));
      signature.initSign(key);
      signature.update(bytes);
      return signature.sign();
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every JDK signs by these curves", e);
    }
  }

  /** Whether bytes were signed by the other half of a public key. */
  static boolean isBy(PublicKey key, byte[] bytes, byte[] signed) {
    try {
      Signature signature = Signature.getInstance(algorithm((ECKey) key));
      signature.initVerify(key);
      signature.update(bytes);
      return signature.verify(signed);
    } catch (GeneralSecurityException e) {
      // No signature at all.
      return false;
    }
  }

  /** The digest goes with the width of the curve. */
  private static String algorithm(ECKey key) {
    return switch (bits(key)) {
      case 256 -> "SHA256withECDSA";
      case 384 -> "SHA384withECDSA";
      default -> "SHA512withECDSA";
    };
  }

  private static int bits(ECKey key) {
    return key.getParams().getCurve().getField().getFieldSize();
  }

  private static <K> K known(Path file, K key) {
    if (!(key instanceof ECKey curve) || !List.of(256, 384, 521).contains(bits(curve))) {
      throw broken(file, "a key");
    }
    return key;
  }

  private static CorruptException broken(Path file, String what) {
    return new CorruptException(
        file.toString(),
        what + " of the curve P-256, P-384 or P-521",
        "another or a damaged one",
        "make one with openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
  }

  private static KeyFactory factory() {
    try {
      return KeyFactory.getInstance("EC");
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every JDK has keys of elliptic curves", e);
    }
  }

  private static byte[] der(Path file, String kind) {
    String text = new String(StrictJson.readBounded(file, MAX_BYTES), StandardCharsets.ISO_8859_1);
    String begin = "-----BEGIN " + kind + "-----";
    int from = text.indexOf(begin);
    int to = text.indexOf("-----END " + kind + "-----", Math.max(from, 0));
    if (from < 0 || to < 0) {
      int other = text.indexOf("-----BEGIN ");
      int end = other < 0 ? -1 : text.indexOf('\n', other);
      throw new UnsupportedException(
          file.toString(),
          begin,
          end < 0 ? "no PEM file" : text.substring(other, end).strip(),
          "pass such a PEM file, which openssl pkcs8 -topk8 -nocrypt and openssl pkey -pubout"
              + " write");
    }
    try {
      return Base64.getMimeDecoder().decode(text.substring(from + begin.length(), to));
    } catch (IllegalArgumentException e) {
      throw broken(file, "a key");
    }
  }
}
