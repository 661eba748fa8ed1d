package dev.moxie.runtime.execution;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.kernels.CudaMachine;
import dev.moxie.runtime.kernels.Decoder;

/** The whole model by kernels, on the first of the cards that this process sees. */
public final class KernelModel implements Model {
  private final MoxiePackage pack;
  private final Decoder decoder;
  private int capacity;

  /**
   * Opens a package: its weights are checked and brought to the card.
   *
   * @throws UnsupportedException if there are no kernels for such a model, or its numbers are none
   *     that can be computed with
   */
  static KernelModel open(MoxiePackage pack, LoweringProof proof) {
    return opened(pack, false, proof);
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  static KernelModel openPermuted(MoxiePackage pack, LoweringProof proof) {
    return opened(pack, true, proof);
  }

  private static KernelModel opened(MoxiePackage pack, boolean permuted, LoweringProof proof) {
    Decoder.requireKernels(pack);
    var model = new KernelModel(pack, new Decoder(pack, CudaMachine.open(), permuted));
    return new Opening(pack, Execution.KERNELS, Device.CUDA, Device.CUDA.target(), permuted)
        .proven(model, proof);
  }

  private KernelModel(MoxiePackage pack, Decoder decoder) {
    this.pack = pack;
    this.decoder = decoder;
  }

  @Override
  public void begin(int tokens) {
    decoder.begin(tokens);
    capacity = tokens;
  }

  @Override
  public float[] append(long[] ids) {
    return forward(ids, ids.length);
  }

  @Override
  public float[] next(long[] ids) {
    return forward(ids, 1);
  }

  private float[] forward(long[] ids, int wanted) {
    Tokens.require(ids, pack.architecture().vocabSize(), decoder.length(), capacity);
    return decoder.append(ids, wanted);
  }

  @Override
  public int length() {
    return decoder.length();
  }

  @Override
  public void close() {
    decoder.close();
  }
}
