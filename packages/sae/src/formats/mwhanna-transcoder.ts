import type { SaeFormat } from "./format.ts";
import { planOf, withSafetensors } from "./plan.ts";
import { encoderSizes, readLatentRows, readWeight } from "./weight-source.ts";

/**
 * Transcoders of Qwen 3 by Hanna: `layer_N.safetensors` with W_enc `[d_sae, d_in]`, W_dec `[d_sae, d_out]`, b_enc and b_dec, ReLU, from what
 * goes into an MLP to what comes out. `W_skip [d_out, d_in]` is a skip connection.
 */
export const mwhannaTranscoder: SaeFormat = {
  name: "mwhanna-transcoder",
  needs: "one file layer_N.safetensors with W_enc [d_sae, d_in] and W_dec [d_sae, d_out]",
  async open(files, options) {
    const { file } = files;
    const layer = /^layer_(\d+)\.safetensors$/u.exec(file ?? "")?.[1];
    if (file === null || layer === undefined || !(await files.has(file))) return null;
    return withSafetensors(files, file, options, async (source) => {
      if (!source.has("W_enc") || !source.has("W_dec")) {
        await source.close();
        return null;
      }
      const { dIn, dSae } = encoderSizes(source, "W_enc", "rows");
      const dOut = source.info("W_dec").shape[1] ?? dIn;
      const reading = { source, dSae, signal: options.signal };
      return planOf(
        {
          format: "mwhanna-transcoder",
          config: {
            architecture: "jumprelu",
            dIn,
            dSae,
            dOut,
            metadata: {
              hookName: `blocks.${layer}.mlp.hook_in`,
              hookNameOut: `blocks.${layer}.hook_mlp_out`,
              convertedFrom: "transcoder",
            },
          },
          folds: ["ReLU, as a threshold of 0"],
          source,
          read: async () => ({
            encoderRows: await readLatentRows(reading, "W_enc", dIn, "rows"),
            decoder: await readLatentRows(reading, "W_dec", dOut, "rows"),
            encoderBias: await readWeight(reading, "b_enc", [dSae]),
            decoderBias: await readWeight(reading, "b_dec", [dOut]),
            threshold: new Float32Array(dSae),
            ...(source.has("W_skip")
              ? { skip: await readWeight(reading, "W_skip", [dOut, dIn]) }
              : {}),
          }),
        },
        options,
      );
    });
  },
};
