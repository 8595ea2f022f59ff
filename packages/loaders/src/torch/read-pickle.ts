import { FormatError } from "@latentkit/core";
import { callGlobal, isAllowedGlobal } from "./pickle-globals.ts";
import { opcode, refusedOpcodes } from "./pickle-opcodes.ts";
import {
  PickledDict,
  PickledGlobal,
  PickledSequence,
  PickledStorage,
  type PickledValue,
} from "./pickle-values.ts";

/** Where a tuple or a call's arguments begin on the stack. */
const mark = Symbol("mark");
type StackEntry = PickledValue | typeof mark;

/** Values at once on the stack or in the memo: state dicts have a few a tensor. */
const mostValues = 1_000_000;

/**
 * Reads a pickle of tensors, numbers, strings and containers of these, as `torch.save` writes state dicts. Nothing is executed and
 * nothing imported: a pickle is a program for a stack machine, and this machine has no instruction that calls anything but the five
 * constructors of `pickle-globals.ts`, which fill records.
 *
 * @param where what messages call the file
 * @throws FormatError `TORCH_PICKLE_REFUSED` for a program that needs more; `TORCH_PICKLE` for one that is cut or makes no sense
 */
export function readPickle(bytes: Uint8Array, where: string): PickledValue {
  return new Machine(bytes, where).run();
}

class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  readonly #stack: StackEntry[] = [];
  readonly #memo: Map<number, PickledValue> = new Map();
  #at = 0;

  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
  }

  run(): PickledValue {
    for (;;) {
      const at = this.#at;
      const code = this.#number("getUint8", 1);
      if (code === opcode.stop) return this.#finish();
      this.#step(code, at);
      if (this.#stack.length > mostValues || this.#memo.size > mostValues)
        throw this.#damaged(`it puts more than ${mostValues} values aside`);
    }
  }

  #finish(): PickledValue {
    const value = this.#pop();
    if (this.#stack.length > 0) throw this.#damaged("values are left on its stack");
    return value;
  }

  #step(code: number, at: number): void {
    switch (code) {
      case opcode.proto:
        return this.#checkProtocol();
      case opcode.frame:
        // The length of a block that is read at once, which means nothing here.
        this.#skip(8);
        return;
      case opcode.mark:
        this.#stack.push(mark);
        return;
      case opcode.pop:
        this.#pop();
        return;
      case opcode.none:
        return this.#push(null);
      case opcode.newTrue:
        return this.#push(true);
      case opcode.newFalse:
        return this.#push(false);
      case opcode.binInt:
        return this.#push(this.#number("getInt32", 4));
      case opcode.binInt1:
        return this.#push(this.#number("getUint8", 1));
      case opcode.binInt2:
        return this.#push(this.#number("getUint16", 2));
      case opcode.long1:
        return this.#push(this.#long());
      case opcode.binFloat:
        return this.#push(this.#view.getFloat64(this.#skip(8), false));
      case opcode.shortBinUnicode:
        return this.#push(this.#text(this.#number("getUint8", 1)));
      case opcode.binUnicode:
        return this.#push(this.#text(this.#number("getUint32", 4)));
      case opcode.binUnicode8:
        return this.#push(this.#text(Number(this.#view.getBigUint64(this.#skip(8), true))));
      case opcode.emptyList:
      case opcode.emptyTuple:
        return this.#push(new PickledSequence([]));
      case opcode.tuple:
        return this.#push(new PickledSequence(this.#popToMark()));
      case opcode.tuple1:
      case opcode.tuple2:
      case opcode.tuple3:
        return this.#push(new PickledSequence(this.#popMany(code - opcode.tuple1 + 1)));
      case opcode.append:
        return this.#extend(this.#popMany(1));
      case opcode.appends:
        return this.#extend(this.#popToMark());
      case opcode.emptyDict:
        return this.#push(new PickledDict());
      case opcode.setItem:
        return this.#setItems(this.#popMany(2));
      case opcode.setItems:
        return this.#setItems(this.#popToMark());
      case opcode.binGet:
        return this.#get(this.#number("getUint8", 1));
      case opcode.longBinGet:
        return this.#get(this.#number("getUint32", 4));
      case opcode.binPut:
        return this.#put(this.#number("getUint8", 1));
      case opcode.longBinPut:
        return this.#put(this.#number("getUint32", 4));
      case opcode.memoize:
        return this.#put(this.#memo.size);
      case opcode.global: {
        const module = this.#line();
        return this.#push(this.#global(`${module}.${this.#line()}`));
      }
      case opcode.stackGlobal: {
        const [module, name] = this.#popMany(2);
        if (typeof module !== "string" || typeof name !== "string")
          throw this.#damaged("a name is not made of two strings");
        return this.#push(this.#global(`${module}.${name}`));
      }
      case opcode.reduce:
        return this.#reduce();
      case opcode.build:
        // State that the constructor does not take: a state dict's _metadata, say. Nothing that tensors need.
        this.#pop();
        return this.#push(this.#pop());
      case opcode.binPersId:
        return this.#push(this.#storage(this.#pop()));
      default:
        throw this.#refusedOpcode(code, at);
    }
  }

  #checkProtocol(): void {
    const protocol = this.#number("getUint8", 1);
    if (protocol >= 2 && protocol <= 5) return;
    throw this.#damaged(`it is of protocol ${protocol}; 2 to 5 are read`);
  }

  #reduce(): void {
    const [callee, args] = this.#popMany(2);
    if (!(callee instanceof PickledGlobal) || !(args instanceof PickledSequence))
      throw this.#damaged("it calls what is no function");
    this.#push(callGlobal(callee, args.items, (message) => this.#damaged(message)));
  }

  /** `("storage", class, key, location, elements)`. */
  #storage(id: PickledValue): PickledStorage {
    const [kind, type, key, , length] = id instanceof PickledSequence ? id.items : [];
    if (
      kind === "storage" &&
      type instanceof PickledGlobal &&
      type.name.endsWith("Storage") &&
      typeof key === "string" &&
      typeof length === "number" &&
      Number.isSafeInteger(length) &&
      length >= 0
    )
      return new PickledStorage(type.name.replace("torch.", ""), key, length);
    throw this.#damaged("it names something outside of it that is no storage of a tensor");
  }

  #global(name: string): PickledGlobal {
    if (isAllowedGlobal(name)) return new PickledGlobal(name);
    throw this.#refused(`it asks for ${JSON.stringify(name)}`);
  }

  #extend(items: readonly PickledValue[]): void {
    const list = this.#stack.at(-1);
    if (!(list instanceof PickledSequence)) throw this.#damaged("it appends to what is no list");
    for (const item of items) list.items.push(item);
    if (list.items.length > mostValues)
      throw this.#damaged(`a list has more than ${mostValues} entries`);
  }

  #setItems(items: readonly PickledValue[]): void {
    const dict = this.#stack.at(-1);
    if (!(dict instanceof PickledDict) || items.length % 2 === 1)
      throw this.#damaged("it sets entries of what is no dict");
    for (let index = 0; index < items.length; index += 2) {
      const key = items[index];
      if (typeof key !== "string" && typeof key !== "number")
        throw this.#damaged("a key of a dict is neither a string nor a number");
      dict.entries.set(String(key), items[index + 1] ?? null);
    }
  }

  #push(value: PickledValue): void {
    this.#stack.push(value);
  }

  #pop(): PickledValue {
    const value = this.#stack.pop();
    if (value === undefined || value === mark) throw this.#damaged("its stack runs empty");
    return value;
  }

  /** The last `count` values, in the order in which they were pushed. */
  #popMany(count: number): PickledValue[] {
    return Array.from({ length: count }, () => this.#pop()).toReversed();
  }

  #popToMark(): PickledValue[] {
    const values: PickledValue[] = [];
    for (;;) {
      const value = this.#stack.pop();
      if (value === mark) return values.toReversed();
      if (value === undefined) throw this.#damaged("a mark is missing on its stack");
      values.push(value);
    }
  }

  #get(place: number): void {
    const value = this.#memo.get(place);
    if (value === undefined) throw this.#damaged(`nothing was put at ${place}`);
    this.#push(value);
  }

  #put(place: number): void {
    const value = this.#stack.at(-1);
    if (value === undefined || value === mark) throw this.#damaged("its stack runs empty");
    this.#memo.set(place, value);
  }

  #number(read: "getInt32" | "getUint16" | "getUint32" | "getUint8", length: number): number {
    const at = this.#skip(length);
    return this.#view[read](at, true);
  }

  /** A whole number of up to 255 bytes, two's complement. */
  #long(): number {
    const length = this.#number("getUint8", 1);
    const at = this.#skip(length);
    let value = 0n;
    for (let index = length - 1; index >= 0; index--)
      value = (value << 8n) | BigInt(this.#bytes[at + index] ?? 0);
    const number = Number(BigInt.asIntN(8 * length, value));
    if (Number.isSafeInteger(number)) return number;
    throw this.#damaged(`the number ${number} is too large`);
  }

  #text(length: number): string {
    const at = this.#skip(length);
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(
        this.#bytes.subarray(at, at + length),
      );
    } catch {
      throw this.#damaged("a string is not UTF-8");
    }
  }

  /** Text up to the end of the line. */
  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#damaged("it ends within a name");
    const text = this.#text(end - this.#at);
    this.#at = end + 1;
    return text;
  }

  /** Passes over `length` bytes, and says where they begin. */
  #skip(length: number): number {
    const at = this.#at;
    if (!(at + length <= this.#bytes.length)) throw this.#damaged("it ends too early");
    this.#at = at + length;
    return at;
  }

  #refusedOpcode(code: number, at: number): FormatError {
    const name = refusedOpcodes.get(code);
    if (name !== undefined) return this.#refused(`it has the instruction ${name}`);
    return this.#damaged(`byte ${code} at ${at} is no instruction`);
  }

  #refused(what: string): FormatError {
    return new FormatError({
      code: "TORCH_PICKLE_REFUSED",
      message: `the file is a pickle that needs more than tensors, numbers and strings: ${what}. A pickle can run any program, so nothing else is read`,
      fix: "in Python, where you trust the file, save its tensors alone: torch.save(model.state_dict(), path), or safetensors.torch.save_file",
      where: this.#where,
    });
  }

  #damaged(what: string): FormatError {
    return new FormatError({
      code: "TORCH_PICKLE",
      message: `the pickle in the file cannot be read: ${what}`,
      fix: "get the file again, or save it anew with torch.save",
      where: this.#where,
    });
  }
}
