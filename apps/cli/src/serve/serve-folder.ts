import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { ConfigError, IoError } from "@latentkit/core";
import { contentTypeOf } from "./content-types.ts";
import { locate } from "./locate.ts";

/** The first port that is tried where none is asked for. */
export const firstPort = 4173;

/** Ports tried from {@link firstPort} on. */
const triedPorts = 50;

/** The only address: nobody else on the network can ask. */
const loopback = "127.0.0.1";

/** A server that runs until it is closed. */
export interface FolderServer {
  /** `http://127.0.0.1:4173/`. */
  readonly address: string;
  readonly port: number;
  /** Stops listening and ends open connections. */
  close(): Promise<void>;
}

/**
 * Serves the files of a folder, to this machine only: GET and HEAD, nothing outside the folder, nothing cached. Requests whose Host
 * header is another name are refused, so that a page of the web cannot read the folder through a name that points at loopback.
 *
 * @throws ConfigError `SERVE_FOLDER` where there is no such folder; IoError `SERVE_PORT` where the port (or each that was tried) is taken
 */
export async function serveFolder(
  folder: string,
  { port }: { readonly port?: number | undefined } = {},
): Promise<FolderServer> {
  const root = await realFolder(folder);
  const server = createServer((request, response) => {
    answer(root, request, response).catch(() => response.destroy());
  });
  const bound = await listen(server, port);
  return {
    address: `http://${loopback}:${bound}/`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  root: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "", url = "" } = request;
  response.setHeader("Cache-Control", "no-store");
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
  response.setHeader("Referrer-Policy", "no-referrer");
  if (!isOwnHost(request)) return refuse(response, 403, "another Host");
  if (method !== "GET" && method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return refuse(response, 405, "only GET and HEAD");
  }
  const found = await locate(root, url);
  if ("status" in found) return refuse(response, found.status, statusTexts[found.status]);
  response.writeHead(200, {
    "Content-Type": contentTypeOf(found.path),
    "Content-Length": found.size,
    "Last-Modified": found.modified.toUTCString(),
  });
  if (method === "HEAD") {
    response.end();
    return;
  }
  // No more than was promised, should the file grow meanwhile; an empty file has no last byte to name.
  if (found.size === 0) {
    response.end();
    return;
  }
  await pipeline(createReadStream(found.path, { end: found.size - 1 }), response);
}

const statusTexts = { 400: "not a path", 403: "not in the folder", 404: "no such file" } as const;

/** Whether the request was meant for this server, by the names that a browser on this machine has for it. */
function isOwnHost({ headers, socket }: IncomingMessage): boolean {
  const port = socket.localPort;
  return headers.host === `${loopback}:${port}` || headers.host === `localhost:${port}`;
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(`${status}: ${why}\n`);
}

async function realFolder(folder: string): Promise<string> {
  const path = await realpath(folder).catch(() => null);
  if (path !== null && (await stat(path)).isDirectory()) return path;
  throw new ConfigError({
    code: "SERVE_FOLDER",
    message: path === null ? "there is no such folder" : "this is a file, and a folder is served",
    fix: "give the folder that --out named when the report was made",
    where: folder,
  });
}

/** Binds the port asked for, or the first free one. */
async function listen(server: Server, asked: number | undefined): Promise<number> {
  const ports =
    asked === undefined
      ? Array.from({ length: triedPorts }, (_, index) => firstPort + index)
      : [asked];
  for (const port of ports) {
    const bound = await bind(server, port);
    if (bound !== null) return bound;
  }
  throw new IoError({
    code: "SERVE_PORT",
    message:
      asked === undefined
        ? `the ports ${firstPort} to ${firstPort + triedPorts - 1} of ${loopback} are taken or not allowed`
        : `port ${asked} of ${loopback} is taken or not allowed`,
    fix: "give another port with --port; 0 takes any that is free",
    where: "--port",
  });
}

/** The port once it listens; null if it is taken or kept for others. */
function bind(server: Server, port: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      server.off("listening", listening);
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(null);
      else reject(error);
    };
    const listening = () => {
      server.off("error", failed);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    };
    server.once("error", failed).once("listening", listening);
    server.listen(port, loopback);
  });
}
