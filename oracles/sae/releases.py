"""What SAELens's list of releases says, for the rules by which @latentkit/sae resolves its names.

    python oracles/sae/releases.py [OUT]

OUT defaults to packages/sae/src/__fixtures__/releases.json. Needs sae-lens. The list itself is not copied: a sample of each release whose
name follows a rule, the folders of some canonical SAEs with all their sparsities, and counts over the whole list.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path

from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/sae/src/__fixtures__/releases.json"
# Names without a rule: paths with training parameters or versions in them, and formats that are not read.
UNRULED = re.compile(r"gpt2-small-hook-z-kk|gpt2-small-mlp-tm|mntss-|temporal-")


def l0(path):
    return int(path.rsplit("_", 1)[1])


def main():
    directory = get_pretrained_saes_directory()
    ruled = {name: release for name, release in directory.items() if not UNRULED.match(name)}
    samples = []
    for name, release in ruled.items():
        ids = list(release.saes_map)
        for id_ in sorted({ids[0], ids[len(ids) // 2], ids[-1]}):
            samples.append({"release": name, "id": id_, "repo": release.repo_id, "path": release.saes_map[id_]})
    canonical, agree, total = [], 0, 0
    for name, release in ruled.items():
        if not name.endswith("-canonical"):
            continue
        folders = defaultdict(list)
        for path in directory[name.removesuffix("-canonical")].saes_map.values():
            folders[path.rsplit("/", 1)[0]].append(l0(path))
        for index, (id_, path) in enumerate(release.saes_map.items()):
            folder = path.rsplit("/", 1)[0]
            assert id_ == f"{folder}/canonical"
            best = max(folders[folder], key=lambda value: (-abs(value - 100), value))
            total += 1
            # The one tie that goes the other way is listed in packages/sae/src/formats/releases.ts.
            agree += best == l0(path) or (release.repo_id, path) == ("google/gemma-scope-9b-pt-att", "layer_23/width_131k/average_l0_66")
            tie = sorted(abs(value - 100) for value in folders[folder])[:2]
            if index % 12 == 0 or (len(tie) > 1 and tie[0] == tie[1]):
                canonical.append({"repo": release.repo_id, "folder": folder, "l0s": sorted(folders[folder]), "chosen": l0(path)})
    rules = {"releases": len(ruled), "ids": sum(len(r.saes_map) for r in ruled.values()), "canonicalIds": total, "canonicalAgree": agree}
    OUT.write_text(json.dumps({"samples": samples, "canonical": canonical, "rules": rules}))
    print(rules, len(samples), len(canonical))
    # All ids, for a check by hand of every one of them: `releases.py OUT ALL`.
    if len(sys.argv) > 2:
        everything = [{"release": n, "id": i, "repo": r.repo_id, "path": p} for n, r in ruled.items() for i, p in r.saes_map.items()]
        Path(sys.argv[2]).write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
