import type { Backend, Storage } from "./backend.ts";

/** A storage and the number of tensors that view it; the last one to go frees it. */
export class SharedStorage {
  readonly storage: Storage;
  readonly #backend: Backend;
  #references = 0;

  constructor(backend: Backend, storage: Storage) {
    this.#backend = backend;
    this.storage = storage;
  }

  /** Tensors that view it. */
  get references(): number {
    return this.#references;
  }

  acquire(): void {
    this.#references++;
  }

  /** @param deviceAlive whether the backend still has the storage; a disposed backend has taken it along. */
  release(deviceAlive: boolean): void {
    this.#references--;
    if (this.#references === 0 && deviceAlive) this.#backend.free(this.storage);
  }
}
