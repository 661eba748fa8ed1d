package dev.moxie.runtime.lowering;

import dev.moxie.format.safetensors.Dtype;

/**
 * What a graph is built for.
 *
 * @param compute dtype of activations and, where a stored weight differs, of the cast in front of
 *     it
 * @param widestHead widest head that the attention operator takes; latent attention whose latent is
 *     wider is expanded to keys and values per head
 * @param masks whether that operator takes a mask of which tokens see which
 * @param binds whether matrices are inputs, in the compute dtype: what computes has a memory of its
 *     own, where they are brought in that form once
 */
public record Target(Dtype compute, int widestHead, boolean masks, boolean binds) {
  /** float32: the CPU provider has no bf16 kernels, and its fp16 ones are slow in 1.29. */
  public static final Target CPU = new Target(Dtype.F32, Integer.MAX_VALUE, true, false);

  /** float16: attention and MoE kernels of the CUDA provider; its bf16 routing is wrong in 1.29. */
  public static final Target CUDA = new Target(Dtype.F16, 512, false, true);
}
