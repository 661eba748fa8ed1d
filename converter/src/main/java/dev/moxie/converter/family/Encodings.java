package dev.moxie.converter.family;

import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.model.Role;
import java.util.Map;

/**
 * What the matrices of a checkpoint may be in.
 *
 * @param usual of those of all other roles
 * @param ofRole by role
 */
public record Encodings(Encoding usual, Map<Role, Encoding> ofRole) {
  public Encodings {
    ofRole = Map.copyOf(ofRole);
  }

  /** One for all. */
  static Encodings of(Encoding encoding) {
    return new Encodings(encoding, Map.of());
  }

  /** Another for routed experts. */
  static Encodings of(Encoding encoding, Encoding ofExperts) {
    return new Encodings(
        encoding,
        Map.of(
            Role.EXPERT_GATE_UP,
            ofExperts,
            Role.EXPERT_UP,
            ofExperts,
            Role.EXPERT_DOWN,
            ofExperts));
  }

  /** That of a role. */
  Encoding of(Role role) {
    return ofRole.getOrDefault(role, usual);
  }
}
