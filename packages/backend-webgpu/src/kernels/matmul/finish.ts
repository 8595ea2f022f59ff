import type { MatmulEpilogue, Slice } from "@latentkit/tensor";
import type { Operand } from "../../issue/operands.ts";
import { read } from "../../issue/operands.ts";
import { activationFunctions } from "../functions.ts";

/** Text of `finish(at, c, sum)`: writes alpha times a sum, plus beta times what is there, plus the bias of column c, activated. */
export function finishText(epilogue: MatmulEpilogue | undefined): string {
  const activation = epilogue?.activation ?? null;
  return `
fn finish(at: u32, c: u32, sum: f32) {
  var value = p.alpha * sum;
  if (p.beta != 0.0) { value += p.beta * load_out(at); }
  ${epilogue?.bias ? "value += load_bias(c);" : ""}
  store_out(at, ${activation === null ? "value" : `${activationFunctions[activation]}(value)`});
}`;
}

/** What of an epilogue is part of a program's name. */
export function finishName(epilogue: MatmulEpilogue | undefined): string {
  return epilogue?.activation ?? "";
}

/** The bias as an operand. */
export function biasOf(epilogue: MatmulEpilogue | undefined): Operand | null {
  const bias: Slice | null = epilogue?.bias ?? null;
  return bias === null ? null : read(bias);
}
