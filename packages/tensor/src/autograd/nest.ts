import { ConfigError, DeviceError, formatShape, sameShape, ShapeError } from "@latentkit/core";
import type { Device } from "../device.ts";
import { Tensor } from "../tensor.ts";

/**
 * Parameters as users hold them: a tensor, or arrays and plain objects of tensors at any depth; null and undefined stand for
 * what is not there (no bias). Each tensor has a name, the path to it: `layers.0.attention.query`; the name of a lone tensor is "".
 */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

/**
 * The tensors of a nest by name, in the order in which they are written down.
 *
 * Throws `ConfigError` `PARAMETERS_NEST` for anything that is not a tensor, an array, a plain object, null or undefined, and for a
 * tensor that stands in two places.
 */
export function tensorsOf(nest: unknown, what = "parameters"): NamedTensor[] {
  const found: NamedTensor[] = [];
  const names = new Map<Tensor, string>();
  const visit = (value: unknown, name: string): void => {
    if (value === null || value === undefined) return;
    if (value instanceof Tensor) {
      const other = names.get(value);
      if (other !== undefined)
        throw nestError(
          `${what} hold one tensor of shape ${formatShape(value.shape)} twice, as "${other}" and as "${name}"`,
          "name it once, and use it wherever it is needed",
        );
      names.set(value, name);
      found.push({ name, tensor: value });
      return;
    }
    for (const [key, item] of entriesOf(value, name, what)) visit(item, join(name, key));
  };
  visit(nest, "");
  return found;
}

/** The same nest with each tensor replaced by what `replace` gives for it. */
export function mapTensors<Nest>(
  nest: Nest,
  replace: (tensor: Tensor, name: string) => Tensor,
): Nest {
  const visit = (value: unknown, name: string): unknown => {
    if (value === null || value === undefined) return value;
    if (value instanceof Tensor) return replace(value, name);
    const entries = entriesOf(value, name, "parameters");
    if (Array.isArray(value)) return entries.map(([key, item]) => visit(item, join(name, key)));
    return Object.fromEntries(entries.map(([key, item]) => [key, visit(item, join(name, key))]));
  };
  // Only tensors are replaced, by tensors.
  return visit(nest, "") as Nest;
}

/**
 * The tensors of `nest`, which has to have the names and shapes of `like`.
 *
 * Throws `ConfigError` `PARAMETERS_NAMES` naming what is missing or too many, `ShapeError` for another shape.
 */
export function tensorsLike(
  nest: unknown,
  like: readonly NamedTensor[],
  what: string,
): readonly Tensor[] {
  const found = new Map(tensorsOf(nest, what).map(({ name, tensor }) => [name, tensor]));
  requireNames(
    what,
    [...found.keys()],
    like.map(({ name }) => name),
  );
  return like.map(({ name, tensor: wanted }) => {
    const tensor = found.get(name) ?? wanted;
    requireSame(what, name, tensor, wanted);
    return tensor;
  });
}

/** Throws `ConfigError` `PARAMETERS_NAMES` unless both lists hold the same names, naming those that differ. */
export function requireNames(
  what: string,
  given: readonly string[],
  expected: readonly string[],
): void {
  const [own, wanted] = [new Set(given), new Set(expected)];
  const missing = expected.filter((name) => !own.has(name));
  const extra = given.filter((name) => !wanted.has(name));
  if (missing.length === 0 && extra.length === 0) return;
  const parts = [
    ...(missing.length > 0 ? [`lack ${listed(missing)}`] : []),
    ...(extra.length > 0 ? [`have ${listed(extra)}, which no parameter is called`] : []),
  ];
  throw new ConfigError({
    code: "PARAMETERS_NAMES",
    message: `${what} do not fit the ${expected.length} parameters: they ${parts.join(" and ")}`,
    fix: "give one tensor for each parameter, under the parameter's name",
  });
}

/** Throws `ShapeError` or `DeviceError` unless `tensor` has the shape and the device of `wanted`. */
export function requireSame(what: string, name: string, tensor: Tensor, wanted: Tensor): void {
  if (!sameShape(tensor.shape, wanted.shape)) {
    throw new ShapeError({
      code: "SHAPE_MISMATCH",
      message: `${what} have "${name}" of shape ${formatShape(tensor.shape)}, for a parameter of shape ${formatShape(wanted.shape)}`,
      fix: "give a tensor of the parameter's shape",
    });
  }
  if (tensor.device !== wanted.device) throw deviceError(what, name);
}

/** The one device of all of them. Throws `ConfigError` for none, `DeviceError` for several. */
export function deviceOf(tensors: readonly NamedTensor[], what: string): Device {
  const [first, ...rest] = tensors;
  if (first === undefined)
    throw nestError(`${what} hold no tensor`, "give at least one tensor to take gradients to");
  for (const { name, tensor } of rest)
    if (tensor.device !== first.tensor.device) throw deviceError(what, name);
  return first.tensor.device;
}

/** Disposes every tensor of a nest, for example gradients that are done with. */
export function disposeTensors(nest: unknown): void {
  for (const { tensor } of tensorsOf(nest, "what is disposed")) tensor.dispose();
}

function entriesOf(value: unknown, name: string, what: string): [string, unknown][] {
  if (Array.isArray(value)) return value.map((item: unknown, index) => [String(index), item]);
  if (typeof value === "object" && value !== null && isPlain(value)) return Object.entries(value);
  const kind = typeof value === "object" ? "an object of a class" : `a ${typeof value}`;
  throw nestError(
    `${what} hold ${kind}${name === "" ? "" : ` as "${name}"`}, expected tensors in arrays and plain objects`,
    "pass settings as further arguments, and tensors of other holders as a plain object",
  );
}

function join(name: string, key: string): string {
  return name === "" ? key : `${name}.${key}`;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** The first names, quoted, and how many more there are. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => `"${name}"`);
  return names.length > 5 ? `${shown.join(", ")} and ${names.length - 5} more` : shown.join(", ");
}

function nestError(message: string, fix: string): ConfigError {
  return new ConfigError({ code: "PARAMETERS_NEST", message, fix });
}

function deviceError(what: string, name: string): DeviceError {
  return new DeviceError({
    code: "DEVICE_MISMATCH",
    message: `${what} have "${name}" on another device than the rest`,
    fix: "make all of them on one device",
  });
}
