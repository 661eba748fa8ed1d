package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The encodings {@code fp8_block_RxC}: e4m3 numbers with a scale for every block of R × C
 * (DeepSeek-AI, "DeepSeek-V3 Technical Report", 2024, section 3.3.1, has 128 × 128).
 *
 * @param blockRows from 1 to 9999
 * @param blockColumns likewise
 */
public record Fp8Block(int blockRows, int blockColumns) implements BlockScaled {
  static final String SCALES_END = "_scale_inv";

  private static final int MOST = 9999;
  private static final Pattern ID =
      Pattern.compile("fp8_block_([1-9][0-9]{0,3})x([1-9][0-9]{0,3})");
  private static final Set<Dtype> SCALES =
      EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F8_E8M0, Dtype.U8);
  private static final float[] NUMBER_OF_CODE = numberOfCode();

  public Fp8Block {
    if (blockRows < 1 || blockColumns < 1 || blockRows > MOST || blockColumns > MOST) {
      throw new IllegalArgumentException(
          "blocks of %d × %d; expected 1 to %d".formatted(blockRows, blockColumns, MOST));
    }
  }

  static Optional<Fp8Block> of(String id) {
    Matcher matcher = ID.matcher(id);
    if (!matcher.matches()) {
      return Optional.empty();
    }
    return Optional.of(
        new Fp8Block(Integer.parseInt(matcher.group(1)), Integer.parseInt(matcher.group(2))));
  }

  @Override
  public String id() {
    return "fp8_block_" + blockRows + "x" + blockColumns;
  }

  @Override
  public Dtype dtype() {
    return Dtype.F8_E4M3;
  }

  @Override
  public Set<Dtype> scaleDtypes() {
    return SCALES;
  }

  @Override
  public Dtype usualScales() {
    return Dtype.F32;
  }

  @Override
  public int perValue() {
    return 1;
  }

  @Override
  public Optional<String> scalesInCheckpoints(String values) {
    return Optional.of(values + SCALES_END);
  }

  @Override
  public Optional<String> otherScalesInCheckpoints(String values) {
    return BlockScaled.scalesBeside(values);
  }

  @Override
  public float number(MemorySegment values, long index) {
    return number(values.get(ValueLayout.JAVA_BYTE, index));
  }

  @Override
  public MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales) {
    return block.decodeE4m3(values, at, count, scales);
  }

  /** The number of an e4m3 code (Micikevicius et al., "FP8 Formats for Deep Learning", 2022). */
  public static float number(byte code) {
    return NUMBER_OF_CODE[code & 0xff];
  }

  private static float[] numberOfCode() {
    float[] numbers = new float[256];
    for (int code = 0; code < numbers.length; code++) {
      numbers[code] = decode((byte) code);
    }
    return numbers;
  }

  private static float decode(byte code) {
    int exponent = code >> 3 & 0xf;
    int mantissa = code & 7;
    float magnitude;
    if (exponent == 0xf && mantissa == 7) {
      magnitude = Float.NaN;
    } else if (exponent == 0) {
      magnitude = mantissa * 0x1p-9f;
    } else {
      magnitude = Math.scalb(8f + mantissa, exponent - 10);
    }
    return code < 0 ? -magnitude : magnitude;
  }
}
