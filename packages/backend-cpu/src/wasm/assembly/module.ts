// What the host asks of the module itself.

/** First address behind the module's constants: where the heap may begin. */
export function heapStart(): usize {
  return __heap_base;
}
