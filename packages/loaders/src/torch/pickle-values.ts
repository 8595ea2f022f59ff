/** A tensor's bytes, named by a record of the archive. */
export class PickledStorage {
  /** The class that torch stored it by, for example `FloatStorage`. */
  readonly type: string;
  /** The record's name below `data/`. */
  readonly key: string;
  /** Elements. */
  readonly length: number;

  constructor(type: string, key: string, length: number) {
    this.type = type;
    this.key = key;
    this.length = length;
  }
}

/** A view of a storage. */
export class PickledTensor {
  readonly storage: PickledStorage;
  /** Elements before the first one. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** Elements from one entry of each axis to the next; any order. */
  readonly strides: readonly number[];

  constructor(
    storage: PickledStorage,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** A name that the file may use, as a value: a class of storages, an element type, a function that makes a tensor. */
export class PickledGlobal {
  /** `module.name`. */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** A Python dict, an OrderedDict among them. A `Map`, so that no key means anything to JavaScript. */
export class PickledDict {
  readonly entries: Map<string, PickledValue> = new Map();
}

/** A list or a tuple. */
export class PickledSequence {
  readonly items: PickledValue[];

  constructor(items: PickledValue[]) {
    this.items = items;
  }
}

/** All that a pickle can come to here. */
export type PickledValue =
  | PickledDict
  | PickledGlobal
  | PickledSequence
  | PickledStorage
  | PickledTensor
  | boolean
  | number
  | string
  | null;
