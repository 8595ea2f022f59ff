import { FormatError } from "@latentkit/core";

/** What the header of an array says, as written. */
export interface NpyHeader {
  /** numpy's type string, for example `<f4`; null for one with fields. */
  readonly descr: string | null;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
}

/** One token of the literal: a word in quotes, a name, digits, or a mark. White space before it is skipped. */
const token = /\s*(?:'([^'\\]*)'|"([^"\\]*)"|(True|False)|(\d+)L?|([{}()[\],:]))/uy;

/**
 * Parses the Python dictionary of an array's header: exactly the keys `descr`, `fortran_order` and `shape`, of strings, truth values
 * and tuples of whole numbers. It is read by a grammar of these alone; nothing is evaluated.
 *
 * Throws {@link FormatError} `NPY_HEADER`.
 */
export function parseNpyHeader(text: string, where: string): NpyHeader {
  const literal = new Literal(text, where);
  let descr: string | null | undefined;
  let fortranOrder: boolean | undefined;
  let shape: readonly number[] | undefined;
  literal.expect("{");
  while (!literal.take("}")) {
    const key = literal.text();
    literal.expect(":");
    if (key === "descr" && descr === undefined) descr = literal.descr();
    else if (key === "fortran_order" && fortranOrder === undefined) fortranOrder = literal.truth();
    else if (key === "shape" && shape === undefined) shape = literal.tuple();
    else throw literal.fault(`the key "${key}" is not known, or there twice`);
    if (!literal.take(",")) {
      literal.expect("}");
      break;
    }
  }
  literal.end();
  if (descr === undefined || fortranOrder === undefined || shape === undefined)
    throw literal.fault("it lacks one of descr, fortran_order and shape");
  return { descr, fortranOrder, shape };
}

class Literal {
  readonly #text: string;
  readonly #where: string;
  #at = 0;

  constructor(text: string, where: string) {
    this.#text = text;
    this.#where = where;
  }

  take(mark: string): boolean {
    const match = this.#match();
    if (match?.[5] !== mark) return false;
    this.#at += match[0].length;
    return true;
  }

  expect(mark: string): void {
    if (!this.take(mark)) throw this.fault(`"${mark}" was expected`);
  }

  text(): string {
    const match = this.#match();
    const value = match?.[1] ?? match?.[2];
    if (match === null || value === undefined) throw this.fault("a word in quotes was expected");
    this.#at += match[0].length;
    return value;
  }

  truth(): boolean {
    const match = this.#match();
    if (match?.[3] === undefined) throw this.fault("True or False was expected");
    this.#at += match[0].length;
    return match[3] === "True";
  }

  tuple(): number[] {
    const values: number[] = [];
    this.expect("(");
    while (!this.take(")")) {
      values.push(this.#number());
      if (!this.take(",")) {
        // (3) is a number to Python, not a tuple.
        if (values.length === 1) throw this.fault('"," was expected');
        this.expect(")");
        break;
      }
    }
    return values;
  }

  /** A type string; a list of fields is passed over, since no such array can be read. */
  descr(): string | null {
    if (!this.take("[")) return this.text();
    for (let depth = 1; depth > 0;) {
      const match = this.#match();
      if (match === null) throw this.fault("the list of fields has no end");
      this.#at += match[0].length;
      if (match[5] === "[") depth++;
      else if (match[5] === "]") depth--;
    }
    return null;
  }

  end(): void {
    if (this.#text.slice(this.#at).trim() !== "")
      throw this.fault("something follows the dictionary");
  }

  fault(message: string): FormatError {
    return new FormatError({
      code: "NPY_HEADER",
      message: `the array's header cannot be read: ${message}, at character ${this.#at}`,
      fix: "get the file again, or write it with numpy.save or numpy.savez",
      where: this.#where,
    });
  }

  #number(): number {
    const match = this.#match();
    const value = Number(match?.[4]);
    if (match === null || !Number.isSafeInteger(value)) throw this.fault("a size was expected");
    this.#at += match[0].length;
    return value;
  }

  #match(): RegExpExecArray | null {
    token.lastIndex = this.#at;
    return token.exec(this.#text);
  }
}
