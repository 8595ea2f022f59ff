import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const executablePath = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium";

/** Whether tests of a browser are left out, which is said; with CI=true they run, and fail where there is none. */
export function withoutChromium(what: string): boolean {
  if (existsSync(executablePath) || process.env["CI"] === "true") return false;
  process.stderr.write(`skipping ${what}: no Chromium at ${executablePath} (set CHROMIUM_PATH)\n`);
  return true;
}

/** Headless Chromium that asks nobody but us; with WebGPU on SwiftShader, its own software adapter, which needs no GPU. */
export function launchChromium({ webgpu }: { readonly webgpu: boolean }): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...(webgpu ? ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"] : []),
    ],
  });
}

/** Files of a site by their path, or null where there is none. */
export type Site = (path: string) => Promise<Uint8Array | string | null>;

const types: Readonly<Record<string, string>> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
};

/** A server on loopback. Pages asked for with `?isolated`, and all that such pages ask for, are cross-origin isolated. */
export async function serveSite(
  site: Site,
): Promise<AsyncDisposable & { readonly address: string }> {
  const answer = async (response: ServerResponse, path: string): Promise<void> => {
    const content = await site(path);
    if (content === null) response.statusCode = 404;
    response.end(content ?? "");
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const path = url.pathname === "/" ? "/index.html" : url.pathname;
    if (`${url.search}${request.headers.referer ?? ""}`.includes("?isolated")) {
      response.setHeader("cross-origin-opener-policy", "same-origin");
      response.setHeader("cross-origin-embedder-policy", "require-corp");
    }
    response.setHeader("content-type", types[extname(path)] ?? "application/octet-stream");
    void answer(response, path);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A listening TCP server has an address of this form.
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}/`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The files of a folder. */
export function folderSite(folder: string): Site {
  return (path) => readFile(join(folder, path)).catch(() => null);
}
