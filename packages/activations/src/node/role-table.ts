import { FormatError } from "@latentkit/core";
import type { Context } from "../packing.ts";

/** Gives each role a number in the order in which roles come up, so that a resumed harvest gives the same ones. */
export class RoleTable {
  readonly #codes = new Map<string, number>();

  /** Names of the codes 1, 2, ...; 0 stands for no role. */
  names(): string[] {
    return [...this.#codes.keys()];
  }

  /** Codes of a context's tokens, without padding. */
  encode(context: Context): Uint8Array {
    return Uint8Array.from(context.roles.slice(0, context.length), (role) =>
      role === null ? 0 : this.#code(role),
    );
  }

  #code(role: string): number {
    const known = this.#codes.get(role);
    if (known !== undefined) return known;
    const code = this.#codes.size + 1;
    if (code > 255) {
      throw new FormatError({
        code: "ROLES_TOO_MANY",
        message: `the chats have more than 255 different roles, among them "${role}"`,
        fix: `check the "role" fields: they should be few, such as system, user and assistant`,
      });
    }
    this.#codes.set(role, code);
    return code;
  }
}
