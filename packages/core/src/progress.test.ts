import { expect, it } from "vitest";
import { AbortedError } from "./errors.ts";
import { throwIfAborted, yieldToEventLoop } from "./progress.ts";

it("throws only once the signal has fired, saying what was kept and why", () => {
  const controller = new AbortController();
  expect(() => throwIfAborted(undefined)).not.toThrow();
  expect(() => throwIfAborted(controller.signal)).not.toThrow();
  const reason = new RangeError("enough");
  controller.abort(reason);
  expect(() => throwIfAborted(controller.signal, "3 shards were kept")).toThrow(AbortedError);
  expect(() => throwIfAborted(controller.signal, "3 shards were kept")).toThrow(
    expect.objectContaining({
      code: "ABORTED",
      message: "stopped on request; 3 shards were kept",
      cause: reason,
    }),
  );
});

it("lets a timer fire", async () => {
  let fired = false;
  setTimeout(() => {
    fired = true;
  }, 0);
  await yieldToEventLoop();
  expect(fired).toBe(true);
});
