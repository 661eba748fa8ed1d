package dev.moxie.runtime.http;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The API keys that a server takes; without any it takes everybody. */
final class Keys {
  private static final String SCHEME = "Bearer ";

  private final List<byte[]> keys;

  Keys(List<String> keys) {
    this.keys = keys.stream().map(key -> key.getBytes(StandardCharsets.UTF_8)).toList();
  }

  /** Whether a header has one of them; takes as long for any of them, and for none. */
  boolean allow(@Nullable String authorization) {
    if (keys.isEmpty()) {
      return true;
    }
    if (authorization == null || !authorization.startsWith(SCHEME)) {
      return false;
    }
    byte[] given = authorization.substring(SCHEME.length()).getBytes(StandardCharsets.UTF_8);
    boolean one = false;
    for (byte[] key : keys) {
      one |= MessageDigest.isEqual(key, given);
    }
    return one;
  }
}
