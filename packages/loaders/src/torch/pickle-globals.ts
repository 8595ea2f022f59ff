import type { StorageFormat } from "../storage-format.ts";
import {
  PickledDict,
  type PickledGlobal,
  PickledSequence,
  PickledStorage,
  PickledTensor,
  type PickledValue,
} from "./pickle-values.ts";

/** How the elements of a storage class are stored. */
export const storageFormats: ReadonlyMap<string, StorageFormat> = new Map<string, StorageFormat>([
  ["FloatStorage", "F32"],
  ["DoubleStorage", "F64"],
  ["HalfStorage", "F16"],
  ["BFloat16Storage", "BF16"],
  ["LongStorage", "I64"],
  ["IntStorage", "I32"],
  ["ShortStorage", "I16"],
  ["CharStorage", "I8"],
  ["ByteStorage", "U8"],
  ["BoolStorage", "BOOL"],
]);

/** Element types, which configurations beside the tensors hold. */
const elementTypes = [
  ["float32", "float64", "float16", "bfloat16"],
  ["int64", "int32", "int16", "int8", "uint8", "bool"],
].flat();

/** Why a call was refused. */
export type GlobalFault = (message: string) => Error;

type Call = (args: readonly PickledValue[], fault: GlobalFault) => PickledValue;

/** The functions that a file may call. None of them is Python's: each only puts its arguments into a record. */
const calls: ReadonlyMap<string, Call> = new Map<string, Call>([
  ["collections.OrderedDict", orderedDict],
  ["torch._utils._rebuild_tensor_v2", rebuildTensor],
  ["torch._utils._rebuild_parameter", rebuildParameter],
  ["torch.Size", ([sizes], fault) => new PickledSequence([...sequence(sizes, fault)])],
  ["torch.device", device],
]);

const names: ReadonlySet<string> = new Set([
  ...calls.keys(),
  ...[...storageFormats.keys()].map((name) => `torch.${name}`),
  ...elementTypes.map((name) => `torch.${name}`),
]);

/** Whether a file may mention this name. */
export function isAllowedGlobal(name: string): boolean {
  return names.has(name);
}

/** What calling the name comes to. Throws what `fault` makes of it for a name that is no function, or for other arguments. */
export function callGlobal(
  { name }: PickledGlobal,
  args: readonly PickledValue[],
  fault: GlobalFault,
): PickledValue {
  const call = calls.get(name);
  if (call === undefined) throw fault(`it calls ${name}, which is not a function here`);
  return call(args, fault);
}

function orderedDict(args: readonly PickledValue[], fault: GlobalFault): PickledValue {
  const dict = new PickledDict();
  const [pairs] = args;
  if (args.length > 1) throw fault("it makes an OrderedDict of several arguments");
  for (const pair of pairs === undefined ? [] : sequence(pairs, fault)) {
    const [key, value] = sequence(pair, fault);
    if (typeof key !== "string" || value === undefined)
      throw fault("an OrderedDict's entries are not pairs of a name and a value");
    dict.entries.set(key, value);
  }
  return dict;
}

/** `(storage, offset, size, stride, requires_grad, backward_hooks[, metadata])`. */
function rebuildTensor(args: readonly PickledValue[], fault: GlobalFault): PickledValue {
  const [storage, offset, shape, strides] = args;
  if (!(storage instanceof PickledStorage)) throw fault("a tensor is not made of a storage");
  const tensor = new PickledTensor(
    storage,
    whole(offset, fault),
    sequence(shape, fault).map((size) => whole(size, fault)),
    sequence(strides, fault).map((stride) => whole(stride, fault)),
  );
  if (tensor.shape.length !== tensor.strides.length)
    throw fault(`a tensor has ${tensor.shape.length} axes and ${tensor.strides.length} strides`);
  return tensor;
}

/** `(type[, index])`, as `cuda:0`. */
function device(args: readonly PickledValue[], fault: GlobalFault): PickledValue {
  return args
    .map((arg) => {
      if (typeof arg === "string" || typeof arg === "number") return arg;
      throw fault("a device is not made of a name and a number");
    })
    .join(":");
}

/** `(tensor, requires_grad, backward_hooks)`. */
function rebuildParameter(args: readonly PickledValue[], fault: GlobalFault): PickledValue {
  const [tensor] = args;
  if (tensor instanceof PickledTensor) return tensor;
  throw fault("a parameter is not made of a tensor");
}

function sequence(value: PickledValue | undefined, fault: GlobalFault): readonly PickledValue[] {
  if (value instanceof PickledSequence) return value.items;
  throw fault("an argument is not the list that it should be");
}

function whole(value: PickledValue | undefined, fault: GlobalFault): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  const given = typeof value === "number" ? String(value) : "something that is no number";
  throw fault(`${given} is no size, offset or stride`);
}
