import { fc, test } from "@fast-check/vitest";
import { LatentkitError } from "@latentkit/core";
import { describe, expect, it } from "vitest";
import { errorOf, loadBytes, loadJson } from "../__fixtures__/load.ts";
import { bytesSource } from "../byte-source.ts";
import { openSafetensors } from "../safetensors/open-safetensors.ts";
import { writeZip } from "../zip/write-zip.ts";
import { openTorch } from "./open-torch.ts";
import { readPickle } from "./read-pickle.ts";

const fixture = (name: string) => loadBytes(`../torch/__fixtures__/${name}`);
const open = (name: string) => openTorch(bytesSource(fixture(name), name));
const golden = loadJson<{
  readonly scalars: Readonly<Record<string, unknown>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}>("../torch/__fixtures__/golden.json");

/** What torch read under this prefix. */
function expected<T>(values: Readonly<Record<string, T>>, name: string): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) =>
      key.startsWith(`${name}/`) ? [[key.slice(name.length + 1), value]] : [],
    ),
  );
}

describe("files of torch.save", () => {
  it.each([
    ["state-dict.pt", "state-dict"],
    ["deflated.pt", "state-dict"],
    ["everything.pt", "everything"],
    ["protocol-5.pt", "everything"],
  ])("%s: tensors of any element type and strides, as torch reads them", async (file, name) => {
    const store = await open(file);
    const shapes = expected(golden.shapes, name);
    expect(store.names()).toEqual(Object.keys(shapes).sort());
    const values = await openSafetensors(bytesSource(fixture("golden.safetensors"), "golden"));
    for (const [tensor, shape] of Object.entries(shapes)) {
      const { byteLength, shape: given } = store.info(tensor);
      expect(given, tensor).toEqual(shape);
      const floats = await store.readFloats(tensor);
      expect([...floats], tensor).toEqual([...(await values.readFloats(`${name}/${tensor}`))]);
      const pieces: number[] = [];
      for await (const { byteOffset, bytes } of store.readPieces(tensor, { pieceBytes: 5 })) {
        expect(byteOffset).toBe(pieces.length);
        pieces.push(...bytes);
      }
      expect(pieces).toEqual([...(await store.readBytes(tensor))]);
      expect(pieces).toHaveLength(byteLength);
    }
    await store.close();
  });

  it("gives the scalars beside them, and integers", async () => {
    const store = await open("everything.pt");
    expect(Object.fromEntries(store.scalars)).toMatchObject(expected(golden.scalars, "everything"));
    expect(store.scalars.get("device")).toBe("cpu");
    expect([...(await store.readIntegers("i64"))]).toEqual([1, -2, 3, 40_000]);
    expect([...(await store.readIntegers("wide.transposed"))]).toEqual([0, 3, 1, 4, 2, 5]);
    expect(Object.getPrototypeOf({})).not.toHaveProperty("polluted");
    expect(() => store.info("parametr")).toThrow(/did you mean "parameter"/);
    await expect(store.readIntegers("f64")).rejects.toMatchObject({ code: "FORMAT_NOT_INTEGERS" });
  });

  it("reads no more of the file than a tensor has", async () => {
    const bytes = fixture("everything.pt");
    const source = bytesSource(bytes, "counted");
    let read = 0;
    const store = await openTorch({
      ...source,
      read(offset, length, signal) {
        read += length;
        return source.read(offset, length, signal);
      },
    });
    read = 0;
    await store.readFloats("window");
    // Rows 1 to 3 of six floats each, from the third on; and the record's header.
    expect(read).toBeLessThanOrEqual(4 * (2 * 6 + 3) + 30);
  });
});

describe("what is refused", () => {
  it.each([
    ["attack-system.pt", /asks for "(?:posix|nt)\.system"/],
    ["attack-eval-4.pt", /asks for "builtins\.eval"/],
    ["attack-popen-in-dict.pt", /asks for "(?:subprocess|commands)\.Popen"/],
    ["attack-getattr-5.pt", /asks for "builtins\.getattr"/],
    ["attack-object.pt", /asks for "torch\.nn\.modules\.linear\.Linear"/],
  ])("%s: a program, with what it wanted", async (file, wanted) => {
    const error = await errorOf(() => open(file));
    expect(error.code).toBe("TORCH_PICKLE_REFUSED");
    expect(error.message).toMatch(wanted);
    expect(error.fix).toContain("state_dict");
  });

  it("files before torch 1.6, other archives and other files, each by what it is", async () => {
    const legacy = await errorOf(() => open("legacy.pt"));
    expect(legacy).toMatchObject({ code: "TORCH_FILE" });
    expect(legacy.message).toContain("torch before 1.6");
    const refused = async (bytes: Uint8Array): Promise<string> => {
      const error = await errorOf(() => openTorch(bytesSource(bytes, "x.pt")));
      expect(error.code).toBe("TORCH_FILE");
      return error.message;
    };
    expect(await refused(new Uint8Array(0))).toContain("no zip archive");
    expect(await refused(new TextEncoder().encode('{"a": 1}'))).toContain("no zip archive");
    const file = (name: string, text = "") => ({ name, bytes: new TextEncoder().encode(text) });
    expect(await refused(writeZip([file("a.npy")]))).toContain("without data.pkl");
    const script = [file("m/data.pkl", "."), file("m/constants.pkl", ".")];
    expect(await refused(writeZip(script))).toContain("TorchScript");
    const big = [file("m/data.pkl", "\u0080\u0002N."), file("m/byteorder", "big")];
    expect(await refused(writeZip(big))).toContain('byte order is "big"');
  });

  it("a flipped bit of a weight, by the archive's checksum", async () => {
    const bytes = fixture("state-dict.pt");
    const store = await openTorch(bytesSource(bytes, "good"));
    const weight = await store.readBytes("0.weight");
    const at = Buffer.from(bytes).indexOf(Buffer.from(weight));
    expect(at).toBeGreaterThan(0);
    bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 1;
    const damaged = await openTorch(bytesSource(bytes, "damaged"));
    await expect(damaged.readFloats("0.weight")).rejects.toMatchObject({ code: "TORCH_FILE" });
    expect(await damaged.readFloats("0.bias")).toHaveLength(3);
  });
});

/** A pickle by hand. */
const pickle = (...parts: (number | string)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "number" ? [part] : [...new TextEncoder().encode(part)],
    ),
  );
const proto = [0x80, 2] as const;
const bodyOf = (...parts: (number | string)[]) => pickle(...proto, ...parts, ".");
const codeOf = (bytes: Uint8Array) =>
  errorOf(() => readPickle(bytes, "x")).then(({ code }) => code);

describe("readPickle", () => {
  it.each([
    ["INST", bodyOf("(ios\nsystem\n")],
    ["OBJ", bodyOf("(cos\nsystem\no")],
    ["NEWOBJ", bodyOf(")", 0x81)],
    ["NEWOBJ_EX", bodyOf("}", 0x92)],
    ["EXT1", bodyOf(0x82, 1)],
    ["PERSID", bodyOf("Pcos\n")],
    ["STACK_GLOBAL", bodyOf(0x8c, 2, "os", 0x8c, 6, "system", 0x93)],
    ["GLOBAL of a module's part", bodyOf("ctorch\n_utils._rebuild_tensor_v2.__globals__\n")],
    ["GLOBAL of a method", bodyOf("ccollections\nOrderedDict.fromkeys\n")],
    ["GLOBAL of a storage's method", bodyOf("ctorch\nFloatStorage.from_file\n")],
    ["GLOBAL of what JavaScript has", bodyOf("cconstructor\nconstructor\n")],
  ])("refuses %s", async (_, bytes) => {
    expect(await codeOf(bytes)).toBe("TORCH_PICKLE_REFUSED");
  });

  it.each([
    ["nothing", pickle()],
    ["no end", pickle(...proto, "N")],
    ["an empty stack", bodyOf()],
    ["a value too many", bodyOf("NN")],
    ["a mark for a value", bodyOf("(")],
    ["a call of a string", bodyOf(0x8c, 1, "x", ")R")],
    ["a call of a storage class", bodyOf("ctorch\nFloatStorage\n)R")],
    ["a tensor of nothing", bodyOf("ctorch._utils\n_rebuild_tensor_v2\n)R")],
    ["a name outside that is no storage", bodyOf(0x8c, 1, "x", "Q")],
    ["a memo that is empty", bodyOf("h", 7)],
    ["a string beyond the end", bodyOf("X", 255, 255, 255, 255)],
    ["a string that is not UTF-8", bodyOf("X", 1, 0, 0, 0, 0xff)],
    ["a number beyond what a number holds", bodyOf(0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1)],
    ["a key that is a list", bodyOf("}]Ns")],
    ["an unknown instruction", bodyOf(0xff)],
    ["an instruction of protocol 0 alone", pickle("N")],
    ["protocol 9", pickle(0x80, 9, "N.")],
  ])("explains %s", async (_, bytes) => {
    expect(await codeOf(bytes)).toBe("TORCH_PICKLE");
  });

  const attacks = ["system", "eval-4", "popen-in-dict", "getattr-5", "object"];
  test.prop([fc.uint8Array({ maxLength: 200 })])("any bytes end in a value or a code", (bytes) => {
    onlyCodes(() => readPickle(Uint8Array.from([...proto, ...bytes]), "x"));
  });
  test.prop([
    fc.constantFrom("state-dict", "everything", "protocol-5", ...attacks.map((a) => `attack-${a}`)),
    fc.nat(),
    fc.nat(255),
  ])("a changed byte anywhere in a file ends in tensors or a code", async (name, at, byte) => {
    const bytes = fixture(`${name}.pt`);
    bytes[at % bytes.length] = byte;
    try {
      const store = await openTorch(bytesSource(bytes, name));
      for (const tensor of store.names()) await store.readFloats(tensor);
    } catch (error) {
      expect(LatentkitError.isInstance(error), String(error)).toBe(true);
    }
  });
  test.prop([fc.constantFrom("state-dict", "everything"), fc.nat()])(
    "a file cut anywhere is refused",
    async (name, at) => {
      const bytes = fixture(`${name}.pt`);
      const cut = bytes.slice(0, at % bytes.length);
      expect((await errorOf(() => openTorch(bytesSource(cut, name)))).code).toBe("TORCH_FILE");
    },
  );

  it("a file that refers to itself, or to one list many times over, does not go on for ever", async () => {
    const file = (program: Uint8Array) =>
      openTorch(bytesSource(writeZip([{ name: "m/data.pkl", bytes: program }]), "m.pt"));
    // l = []; l.append(l)
    const itself = await errorOf(() => file(bodyOf("]q", 0, "h", 0, "a")));
    expect(itself.message).toContain("nested too deeply");
    // Each of 30 lists holds the one before it twice; those below it are popped.
    const doubling = Array.from({ length: 29 }, (_, n) => ["]q", n + 1, "h", n, "ah", n, "a"]);
    const popped = [...Array.from({ length: 30 }, () => "0"), "h", 29];
    const bomb = await errorOf(() => file(bodyOf("]q", 0, ...doubling.flat(), ...popped)));
    expect(bomb.message).toContain("more than 1000000 entries");
  });
});

function onlyCodes(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    expect(LatentkitError.isInstance(error), String(error)).toBe(true);
  }
}
