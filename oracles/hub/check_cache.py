"""Checks that the hub's cache is shared with Python's `huggingface_hub`, both ways. Run by hand, from the repository's root:

    npm run peers
    .peer-env/bin/python oracles/hub/check_cache.py

It serves a small repository on loopback (one large file behind a redirect, as the hub has it), and then

1. lets `latentkit inspect` download it, and looks with `huggingface_hub` whether every file is found without a network, with
   the same bytes, and whether asking again with a network downloads nothing;
2. lets `huggingface_hub` download it into another cache, and looks whether `latentkit inspect` opens it with HF_HUB_OFFLINE=1,
   and whether asking again with a network downloads nothing;
3. lets both fill one cache at the same time, and checks every blob's hash.

Prints a line for each check and the versions, and exits with 1 if one fails. Nothing is written into the repository.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import numpy as np
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
from safetensors.numpy import save

root = Path(__file__).resolve().parents[2]
REPO, COMMIT = "org/tiny-llama", "c0ffee" + "0" * 34
random = np.random.default_rng(20261128)
config = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 300_000, "max_position_embeddings": 32, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "rope_theta": 10000.0, "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 0,
}
FILES = {
    "config.json": json.dumps(config).encode(),
    "generation_config.json": b"{}",
    "README.md": b"# Not needed to open the model\n",
    "model.safetensors": save({"model.embed_tokens.weight": random.standard_normal((300_000, 8)).astype(np.float32)}),
}
LARGE = {"model.safetensors"}
gets = []


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body=b"", headers={}):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.startswith("/cdn/"):
            gets.append(path)
            return self.send(200, FILES[path[5:]])
        if path.startswith(f"/api/models/{REPO}/revision/") or path == f"/api/models/{REPO}":
            siblings = [
                {"rfilename": name, "size": len(data), "blobId": git_hash(data), **({"lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 134}} if name in LARGE else {})}
                for name, data in FILES.items()
            ]
            body = json.dumps({"id": REPO, "modelId": REPO, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}).encode()
            return self.send(200, body, {"Content-Type": "application/json"})
        if path.startswith(f"/api/models/{REPO}/tree/"):
            rows = [{"type": "file", "path": name, "size": len(data), "oid": git_hash(data)} for name, data in FILES.items()]
            return self.send(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})
        prefix = f"/{REPO}/resolve/"
        name = path[len(prefix) :].split("/", 1)[-1] if path.startswith(prefix) else None
        if name not in FILES:
            return self.send(404, headers={"X-Error-Code": "EntryNotFound" if name else "RepoNotFound", "X-Repo-Commit": COMMIT})
        data = FILES[name]
        if name in LARGE:
            headers = {"Location": f"http://localhost:{self.server.server_port}/cdn/{name}", "X-Repo-Commit": COMMIT}
            return self.send(302, headers={**headers, "X-Linked-Etag": f'"{sha256(data)}"', "X-Linked-Size": str(len(data))})
        if self.command == "GET":
            gets.append(path)
        self.send(200, data, {"ETag": f'"{git_hash(data)}"', "X-Repo-Commit": COMMIT})


server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{server.server_port}"
failed = []


def check(what, right):
    print(("ok    " if right else "FAILED"), what)
    if not right:
        failed.append(what)


def inspect(cache, **env):
    command = ["node", "--conditions=@latentkit/source", "--import", "tsx", "apps/cli/src/main.ts", "inspect", REPO, "--json", "--quiet"]
    given = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache), **env}
    done = subprocess.run(command, cwd=root, env=given, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return None
    return json.loads(done.stdout)["facts"]


def python(cache, name, **options):
    return Path(hf_hub_download(REPO, name, cache_dir=cache, endpoint=endpoint, **options)).read_bytes()


NEEDED = ["config.json", "generation_config.json", "model.safetensors"]
with tempfile.TemporaryDirectory() as folder:
    ours, theirs, both = (Path(folder) / name for name in ("ours", "theirs", "both"))

    facts = inspect(ours)
    check("latentkit downloads the model", facts is not None and facts["parameters"] == 2_400_000)
    check("huggingface_hub finds each file without a network, with the same bytes", all(python(ours, name, local_files_only=True) == FILES[name] for name in NEEDED))
    check("try_to_load_from_cache finds it by branch", try_to_load_from_cache(REPO, "model.safetensors", cache_dir=ours) is not None)
    check("snapshot_download finds the snapshot", Path(snapshot_download(REPO, cache_dir=ours, local_files_only=True, endpoint=endpoint, allow_patterns=NEEDED)).name == COMMIT)
    (ours / "models--org--tiny-llama" / "blobs" / f"{'0' * 64}.latentkit.incomplete").write_bytes(b"left by a run that was stopped")
    scanned = scan_cache_dir(ours)
    revision = next(iter(next(iter(scanned.repos)).revisions))
    check("scan_cache_dir has no complaints, an unfinished download beside the blobs included", not scanned.warnings and revision.commit_hash == COMMIT and revision.refs == {"main"} and len(revision.files) == len(NEEDED))
    gets.clear()
    check("huggingface_hub with a network downloads nothing again", all(python(ours, name) == FILES[name] for name in NEEDED) and gets == [])

    for name in NEEDED:
        python(theirs, name)
    offline = inspect(theirs, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    check("latentkit opens what huggingface_hub downloaded, without a network", offline == facts)
    gets.clear()
    check("latentkit with a network downloads nothing again", inspect(theirs) == facts and gets == [])

    threads = [threading.Thread(target=lambda: inspect(both)), *(threading.Thread(target=python, args=(both, name)) for name in NEEDED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blobs = list((both / "models--org--tiny-llama" / "blobs").iterdir())
    whole = all(blob.name in (sha256(blob.read_bytes()), git_hash(blob.read_bytes())) for blob in blobs)
    check("both at the same time leave whole blobs and nothing else", whole and len(blobs) == len(NEEDED))
    check("and both find them without a network", inspect(both, HF_HUB_OFFLINE="1") == facts and all(python(both, name, local_files_only=True) == FILES[name] for name in NEEDED))

print("python", platform.python_version(), "huggingface_hub", version("huggingface_hub"), "node", subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip())
sys.exit(1 if failed else 0)
