import type { TaskArguments, Tasks } from "./task.ts";

/** Numbers of a chunk: some tens of microseconds of work. */
export const randomGrain = 16_384;

/** What a chunk draws from: key, first block in two halves, and words of it to pass over. */
type Start = readonly [seed: number, stream: number, low: number, high: number, skip: number];

/** Where number `begin` of a job is drawn, which takes `words` words a number: args are `[seed, stream, position, ...]`. */
function startOf(args: TaskArguments, begin: number, words: number): Start {
  const [seed = 0, stream = 0, position = 0] = args;
  const first = position + begin * words;
  const block = Math.floor(first / 4);
  return [seed, stream, block % 2 ** 32, Math.floor(block / 2 ** 32), first % 4];
}

export const randomTasks = {
  randomBits({ wasm }, args, begin, end, scratch) {
    const [out = 0] = args.slice(3);
    wasm.randomBits(...startOf(args, begin, 1), end - begin, out + begin * 4, scratch);
  },

  randomUniform({ wasm }, args, begin, end, scratch) {
    const [start = 0, span = 0, out = 0] = args.slice(3);
    wasm.randomUniform(
      ...startOf(args, begin, 1),
      end - begin,
      start,
      span,
      out + begin * 4,
      scratch,
    );
  },

  randomNormal({ wasm }, args, begin, end, scratch) {
    const [mean = 0, deviation = 0, out = 0] = args.slice(3);
    wasm.randomNormal(
      ...startOf(args, begin, 2),
      end - begin,
      mean,
      deviation,
      out + begin * 4,
      scratch,
    );
  },

  dropout({ wasm }, args, begin, end, scratch) {
    const [x = 0, limit = 0, factor = 0, out = 0] = args.slice(3);
    wasm.dropout(
      ...startOf(args, begin, 1),
      end - begin,
      x + begin * 4,
      limit,
      factor,
      out + begin * 4,
      scratch,
    );
  },

  bernoulli({ wasm }, args, begin, end, scratch) {
    const [probabilities = 0, out = 0] = args.slice(3);
    wasm.bernoulli(
      ...startOf(args, begin, 1),
      end - begin,
      probabilities + begin * 4,
      out + begin * 4,
      scratch,
    );
  },

  /** Over rows; `words` were drawn before. */
  categoricalRows({ wasm }, [logits = 0, words = 0, columns = 0, out = 0], begin, end, scratch) {
    wasm.categoricalRows(
      logits + begin * columns * 4,
      words + begin * 8,
      end - begin,
      columns,
      out + begin * 4,
      scratch,
    );
  },
} as const satisfies Tasks;
