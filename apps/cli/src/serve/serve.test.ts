import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../testing/run.ts";
import { type FolderServer, firstPort, serveFolder } from "./serve-folder.ts";

let root: string;
let folder: string;
let server: FolderServer;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "latentkit-serve-"));
  folder = join(root, "report");
  await mkdir(join(folder, "figures"), { recursive: true });
  await mkdir(join(folder, ".hidden"));
  await mkdir(join(root, "report-of-others"));
  await writeFile(join(root, "secret.txt"), "secret");
  await writeFile(join(root, "report-of-others/secret.txt"), "secret");
  await writeFile(join(folder, ".hidden/secret.txt"), "secret");
  await writeFile(join(folder, "report.html"), "<!doctype html>report");
  await writeFile(join(folder, "result.json"), "{}");
  await writeFile(join(folder, "empty.txt"), "");
  await writeFile(join(folder, "figures/density 1.svg"), "<svg/>");
  await writeFile(join(folder, "weights.safetensors"), "bytes");
  await symlink(join(root, "secret.txt"), join(folder, "link.txt"));
  await symlink(join(root, "report-of-others"), join(folder, "others"), "junction");
  server = await serveFolder(folder, { port: 0 });
});

afterAll(async () => {
  await server.close();
  await rm(root, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** `fetch` tidies paths and headers up before it sends them; this sends what it is given. */
function ask(
  path: string,
  { method = "GET", host }: { method?: string; host?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port: server.port,
        path,
        method,
        headers: host === undefined ? {} : { Host: host },
      },
      (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => (body += chunk.toString()));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      },
    );
    sent.on("error", reject).end();
  });
}

describe("what is served", () => {
  it.each([
    ["/", "text/html; charset=utf-8", "<!doctype html>report"],
    ["/report.html?theme=dark", "text/html; charset=utf-8", "<!doctype html>report"],
    ["/result.json", "application/json; charset=utf-8", "{}"],
    ["/figures/density%201.svg", "image/svg+xml", "<svg/>"],
    ["/weights.safetensors", "application/octet-stream", "bytes"],
    ["/empty.txt", "text/plain; charset=utf-8", ""],
  ])("%s", async (path, type, body) => {
    const answer = await ask(path);
    expect(answer).toMatchObject({ status: 200, body });
    expect(answer.headers).toMatchObject({
      "content-type": type,
      "content-length": String(Buffer.byteLength(body)),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    });
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("prefers index.html, as folders do", async () => {
    const other = join(root, "index-folder");
    await mkdir(join(other, "below"), { recursive: true });
    await writeFile(join(other, "index.html"), "index");
    await writeFile(join(other, "report.html"), "report");
    await writeFile(join(other, "below/index.html"), "below");
    const second = await serveFolder(other, { port: 0 });
    expect(await (await fetch(second.address)).text()).toBe("index");
    expect(await (await fetch(`${second.address}below/`)).text()).toBe("below");
    await second.close();
  });

  it("answers HEAD with the same headers and no body", async () => {
    const [head, get] = [await ask("/result.json", { method: "HEAD" }), await ask("/result.json")];
    expect(head).toMatchObject({ status: 200, body: "" });
    expect({ ...head.headers, date: "" }).toEqual({ ...get.headers, date: "" });
  });
});

describe("what is refused", () => {
  it.each([
    ["/../secret.txt", 403],
    ["/figures/../../secret.txt", 403],
    ["/%2e%2e/secret.txt", 403],
    ["/..%2fsecret.txt", 400],
    ["/..%5csecret.txt", 400],
    ["/%252e%252e/secret.txt", 404],
    ["//../secret.txt", 403],
    ["/../report-of-others/secret.txt", 403],
    ["/.hidden/secret.txt", 403],
    ["/link.txt", 403],
    ["/others/secret.txt", 403],
    ["/report.html%00.txt", 400],
    ["/%", 400],
    ["/%ff", 400],
    ["/c:/secret.txt", 400],
    ["http://127.0.0.1/secret.txt", 400],
    ["*", 400],
    ["/nothing.html", 404],
    ["/figures", 404],
    ["/report.html/secret.txt", 404],
  ])("%s: %s", async (path, status) => {
    const answer = await ask(path);
    expect(answer.status).toBe(status);
    expect(answer.body).not.toContain("secret");
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])("%s", async (method) => {
    const answer = await ask("/result.json", { method });
    expect(answer.status).toBe(405);
    expect(answer.headers["allow"]).toBe("GET, HEAD");
  });

  it.each([
    "evil.example",
    "evil.example:80",
    "127.0.0.1",
    "localhost:1",
    "127.0.0.1.evil.example",
  ])("a request for the host %s", async (host) => {
    expect(await ask("/result.json", { host })).toMatchObject({ status: 403 });
  });

  it("but not localhost with the port", async () => {
    expect(await ask("/", { host: `localhost:${server.port}` })).toMatchObject({ status: 200 });
  });

  it("a request without a host", async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(server.port, "127.0.0.1", () =>
        socket.write("GET /result.json HTTP/1.0\r\n\r\n"),
      );
      let text = "";
      socket.on("data", (chunk) => (text += String(chunk)));
      socket.on("end", () => resolve(text)).on("error", reject);
    });
    expect(answer).toContain("403");
  });
});

describe("ports", () => {
  it("takes the next port where the first is taken, and listens on loopback alone", async () => {
    const blocker = createServer();
    const blocked = await new Promise<boolean>((resolve) => {
      blocker.once("error", () => resolve(false));
      blocker.listen(firstPort, "127.0.0.1", () => resolve(true));
    });
    const second = await serveFolder(folder);
    expect(second.port).toBeGreaterThan(firstPort);
    expect(second.address).toBe(`http://127.0.0.1:${second.port}/`);
    expect((await fetch(second.address)).status).toBe(200);
    await second.close();
    await expect(fetch(second.address)).rejects.toThrow("fetch failed");
    if (blocked) await new Promise((resolve) => blocker.close(resolve));
  });

  it("says so where the port asked for is taken", async () => {
    await expect(serveFolder(folder, { port: server.port })).rejects.toMatchObject({
      code: "SERVE_PORT",
      message: expect.stringContaining(String(server.port)),
    });
  });
});

describe("latentkit open", () => {
  it("serves until it is interrupted, and exits with 0", async () => {
    const controller = new AbortController();
    const addresses: string[] = [];
    const opened = run(["open", folder, "--port", "0"], {
      signal: controller.signal,
      onStdout: (text) => {
        const [address] = /http:\/\/127\.0\.0\.1:\d+\//u.exec(text) ?? [];
        if (address === undefined) return;
        addresses.push(address);
        void fetch(address)
          .then(async (response) => expect(await response.text()).toContain("report"))
          .finally(() => controller.abort("SIGINT"));
      },
    });
    expect(await opened).toMatchObject({ code: 0, stderr: "" });
    expect(addresses).toHaveLength(1);
    await expect(fetch(addresses[0]!)).rejects.toThrow("fetch failed");
  });

  it("ends with 0 by Ctrl-C, as a process of its own", async () => {
    const main = join(import.meta.dirname, "../main.ts");
    const flags = ["--conditions=@latentkit/source", "--import", import.meta.resolve("tsx")];
    const child = spawn(process.execPath, [...flags, main, "open", folder, "--port", "0"]);
    child.stdout.on("data", (chunk) => {
      if (String(chunk).includes("http://")) child.kill("SIGINT");
    });
    const [code, signal] = await once(child, "exit");
    // Windows has no signals: there the process ends at once.
    expect([code, signal]).toEqual(process.platform === "win32" ? [null, "SIGINT"] : [0, null]);
  });

  it("ends although a connection is still open", async () => {
    const controller = new AbortController();
    const opened = run(["open", folder, "--port", "0", "--json"], {
      signal: controller.signal,
      onStdout: (text) => {
        const { port } = JSON.parse(text) as { port: number };
        const socket = connect(port, "127.0.0.1", () => controller.abort("SIGINT"));
        socket.on("error", () => undefined);
      },
    });
    expect(await opened).toMatchObject({ code: 0 });
  });

  it.each([
    ["no folder", ["open", "nowhere"], 1, "SERVE_FOLDER"],
    ["no port", ["open", ".", "--port", "70000"], 2, "--port"],
  ])("%s", async (_, args, code, says) => {
    const outcome = await run(args);
    expect(outcome).toMatchObject({ code, stdout: "" });
    expect(outcome.stderr).toContain(says);
  });

  it("refuses a file", async () => {
    const { code, stderr } = await run(["open", join(folder, "report.html")]);
    expect(code).toBe(1);
    expect(stderr).toContain("SERVE_FOLDER");
    expect(stderr).toContain("this is a file");
  });
});
