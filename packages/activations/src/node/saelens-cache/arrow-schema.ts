import type { FlatFields } from "./flat-builder.ts";
import type { FlatTable } from "./flat-table.ts";

/** What a column of an Arrow file holds, as far as activation caches do. */
export type ArrowType =
  | { readonly kind: "fixed-size-list"; readonly size: number }
  | { readonly kind: "float"; readonly bits: 16 | 32 | 64 }
  | { readonly kind: "int"; readonly bits: number; readonly signed: boolean }
  | { readonly kind: "large-list" | "list" }
  | { readonly kind: "other"; readonly number: number };

/** A column, or the items of one. */
export interface ArrowField {
  readonly name: string;
  readonly type: ArrowType;
  readonly children: readonly ArrowField[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Numbers of Schema.fbs and Message.fbs in Arrow's `format` folder, metadata version 5. */
export const arrowNumbers = {
  version5: 4,
  schema: 1,
  recordBatch: 3,
  int: 2,
  float: 3,
  list: 12,
  fixedSizeList: 16,
  largeList: 21,
} as const;

const floatBits = [16, 32, 64] as const;

/** The fields of a Schema table. */
export function readFields(schema: FlatTable): ArrowField[] {
  return schema.tables(1).map(readField);
}

function readField(field: FlatTable): ArrowField {
  return {
    name: field.text(0),
    type: readType(field),
    children: field.tables(5).map(readField),
    metadata: Object.fromEntries(field.tables(6).map((pair) => [pair.text(0), pair.text(1)])),
  };
}

function readType(field: FlatTable): ArrowType {
  const number = field.byte(2);
  const type = field.table(3);
  // A dictionary's indices have the type of what they stand for.
  if (type === null || field.has(4)) return { kind: "other", number };
  switch (number) {
    case arrowNumbers.list:
      return { kind: "list" };
    case arrowNumbers.largeList:
      return { kind: "large-list" };
    case arrowNumbers.fixedSizeList:
      return { kind: "fixed-size-list", size: type.int(0) };
    case arrowNumbers.int:
      return { kind: "int", bits: type.int(0), signed: type.byte(1) === 1 };
    case arrowNumbers.float: {
      const bits = floatBits[type.short(0)];
      return bits === undefined ? { kind: "other", number } : { kind: "float", bits };
    }
    default:
      return { kind: "other", number };
  }
}

/** The Schema table of these fields, with the file's own metadata. */
export function schemaTable(
  fields: readonly ArrowField[],
  metadata: Readonly<Record<string, string>>,
): FlatFields {
  return [
    null,
    { kind: "tables", items: fields.map(fieldTable) },
    { kind: "tables", items: pairs(metadata) },
  ];
}

function fieldTable({ name, type, children, metadata }: ArrowField): FlatFields {
  const [number, fields] = typeTable(type);
  return [
    { kind: "text", value: name },
    { kind: "byte", value: 1 },
    { kind: "byte", value: number },
    { kind: "table", fields },
    null,
    { kind: "tables", items: children.map(fieldTable) },
    Object.keys(metadata).length === 0 ? null : { kind: "tables", items: pairs(metadata) },
  ];
}

function typeTable(type: ArrowType): readonly [number: number, fields: FlatFields] {
  switch (type.kind) {
    case "list":
      return [arrowNumbers.list, []];
    case "large-list":
      return [arrowNumbers.largeList, []];
    case "fixed-size-list":
      return [arrowNumbers.fixedSizeList, [{ kind: "int", value: type.size }]];
    case "int":
      return [
        arrowNumbers.int,
        [
          { kind: "int", value: type.bits },
          { kind: "byte", value: type.signed ? 1 : 0 },
        ],
      ];
    case "float":
      return [arrowNumbers.float, [{ kind: "short", value: floatBits.indexOf(type.bits) }]];
    case "other":
      return [type.number, []];
  }
}

function pairs(metadata: Readonly<Record<string, string>>): FlatFields[] {
  return Object.entries(metadata).map(([key, value]) => [
    { kind: "text", value: key },
    { kind: "text", value },
  ]);
}
