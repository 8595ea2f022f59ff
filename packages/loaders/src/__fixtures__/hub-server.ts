import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One file of a repository of the test's hub. */
export interface HubServerFile {
  readonly bytes: Uint8Array;
  /** Kept on the second server, with SHA-256 as its tag, as large files are. */
  readonly lfs?: boolean | undefined;
}

/** One repository, at any number of commits. */
export interface HubServerRepo {
  /** Branches and tags, and the commits that they stand at. */
  readonly revisions: Record<string, string>;
  readonly commits: Record<string, Record<string, HubServerFile>>;
  /** Refuses everybody without this token. */
  readonly gatedFor?: string | undefined;
  /** Replaces the listing. */
  readonly listing?: unknown;
}

/** What goes wrong, once for each of `times` requests that match. */
export interface Fault {
  /** Of `hub GET /path` or `cdn GET /path`. */
  readonly match: RegExp;
  times: number;
  /** Answers with this status. */
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Breaks the connection after so many bytes of the body. */
  readonly truncateAt?: number | undefined;
  /** Says nothing any more after so many bytes of the body. */
  readonly stallAt?: number | undefined;
  /** Flips a bit of the body. */
  readonly corrupt?: boolean | undefined;
  /** Sends the whole file where a part was asked for. */
  readonly ignoreRange?: boolean | undefined;
  /** Sends the part even if the file is no longer the one that was meant. */
  readonly ignoreIfRange?: boolean | undefined;
}

/** What a server was asked. */
export interface SeenRequest {
  readonly line: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Two servers on loopback: one that speaks the hub's protocol, and one that holds the large files, as a CDN does. */
export class HubServer {
  readonly repos = new Map<string, HubServerRepo>();
  /** Plain files of the second server, by path. */
  readonly plain = new Map<string, Uint8Array>();
  readonly faults: Fault[] = [];
  readonly seen: SeenRequest[] = [];
  readonly #hub: Server;
  readonly #cdn: Server;
  endpoint = "";
  cdn = "";

  constructor() {
    this.#hub = createServer((request, response) => this.#serve("hub", request, response));
    this.#cdn = createServer((request, response) => this.#serve("cdn", request, response));
  }

  async start(): Promise<void> {
    this.endpoint = await listen(this.#hub);
    this.cdn = await listen(this.#cdn);
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** How often something that matches was asked for. */
  count(match: RegExp): number {
    return this.seen.filter(({ line }) => match.test(line)).length;
  }

  #serve(name: "hub" | "cdn", request: IncomingMessage, response: ServerResponse): void {
    const line = `${name} ${request.method ?? ""} ${request.url ?? ""}`;
    const { range, authorization } = request.headers;
    this.seen.push({ line, range, authorization });
    const fault = this.faults.find(({ match, times }) => times > 0 && match.test(line));
    if (fault !== undefined) fault.times -= 1;
    if (fault?.status !== undefined) {
      response.writeHead(fault.status, fault.headers).end("no");
      return;
    }
    const url = new URL(request.url ?? "/", "http://x");
    const path = /%E0%A4%A/.test(url.pathname) ? "/none" : decodeURIComponent(url.pathname);
    if (name === "cdn") this.#serveCdn(path, request, response, fault);
    else this.#serveHub(path, request, response, fault);
  }

  #serveCdn(path: string, request: IncomingMessage, response: ServerResponse, fault?: Fault): void {
    const bytes = this.plain.get(path) ?? this.#blob(path.slice(1));
    if (bytes === undefined) response.writeHead(404).end();
    else sendBytes(request, response, bytes, fault, { etag: `"${sha256(bytes).slice(0, 20)}"` });
  }

  #blob(hash: string): Uint8Array | undefined {
    for (const repo of this.repos.values())
      for (const files of Object.values(repo.commits))
        for (const { bytes, lfs } of Object.values(files))
          if (lfs === true && sha256(bytes) === hash) return bytes;
    return undefined;
  }

  #serveHub(path: string, request: IncomingMessage, response: ServerResponse, fault?: Fault): void {
    const [, listed, revision = ""] =
      /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(path) ?? [];
    const [, resolved, at = "", file = ""] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const repo = this.repos.get(listed ?? resolved ?? "");
    const refuse = (status: number, code: string, message: string): void => {
      response.writeHead(status, { "x-error-code": code, "x-error-message": message }).end();
    };
    if (repo === undefined) return refuse(401, "RepoNotFound", "Repository not found");
    if (repo.gatedFor !== undefined && request.headers.authorization !== `Bearer ${repo.gatedFor}`)
      return refuse(403, "GatedRepo", "Access to this model is restricted.");
    const wanted = listed === undefined ? at : revision;
    const commit = repo.revisions[wanted] ?? wanted;
    const files = repo.commits[commit];
    if (files === undefined) return refuse(404, "RevisionNotFound", `Invalid rev id: ${wanted}`);
    if (listed !== undefined) {
      const body = new TextEncoder().encode(JSON.stringify(repo.listing ?? listingOf(commit, files)));
      return sendBytes(request, response, body, fault, { "content-type": "application/json" });
    }
    const found = files[file];
    if (found === undefined) return refuse(404, "EntryNotFound", "Entry not found");
    const { bytes, lfs } = found;
    const shared = { "x-repo-commit": commit, ...fault?.headers };
    if (lfs !== true)
      return sendBytes(request, response, bytes, fault, { etag: `"${gitHash(bytes)}"`, ...shared });
    const hash = sha256(bytes);
    response
      .writeHead(302, {
        location: `${this.cdn}/${hash}?signature=secret`,
        "x-linked-etag": `"${hash}"`,
        "x-linked-size": String(bytes.length),
        ...shared,
      })
      .end();
  }
}

function listingOf(commit: string, files: Record<string, HubServerFile>): unknown {
  return {
    id: "x",
    sha: commit,
    siblings: Object.entries(files).map(([rfilename, { bytes, lfs }]) => ({
      rfilename,
      size: bytes.length,
      blobId: gitHash(bytes),
      ...(lfs === true ? { lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 } } : {}),
    })),
  };
}

function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  fault: Fault | undefined,
  headers: Record<string, string>,
): void {
  const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const ranged = asked !== null && fault?.ignoreRange !== true;
  const first = ranged ? Number(asked[1]) : 0;
  const last = ranged && asked[2] !== "" ? Math.min(Number(asked[2]), bytes.length - 1) : bytes.length - 1;
  const changed =
    fault?.ignoreIfRange !== true && request.headers["if-range"] !== undefined && request.headers["if-range"] !== headers["etag"];
  if (ranged && first >= bytes.length) {
    response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    return;
  }
  const whole = !ranged || changed;
  let body = whole ? bytes : bytes.subarray(first, last + 1);
  response.writeHead(whole ? 200 : 206, {
    "accept-ranges": "bytes",
    "content-length": String(body.length),
    ...(whole ? {} : { "content-range": `bytes ${first}-${last}/${bytes.length}` }),
    ...headers,
  });
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  if (fault?.corrupt === true) {
    body = Uint8Array.from(body);
    body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
  }
  const stop = fault?.truncateAt ?? fault?.stallAt;
  if (stop === undefined) {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, stop), () => {
    // Later, so that the bytes before it arrive.
    if (fault?.truncateAt !== undefined) setTimeout(() => response.destroy(), 20);
  });
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** SHA-256, the tag of large files. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** git's name of a blob, the tag of the other files. */
export function gitHash(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
