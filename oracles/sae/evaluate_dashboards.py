"""What SAEDashboard makes of our dashboards' data: packages/autointerp/src/__fixtures__/neuronpedia-batch.json.

    python oracles/sae/evaluate_dashboards.py [OURS]

Reads OURS (made by oracles/sae/evaluate-dashboards.ts) with the dataclasses by which SAEDashboard
writes batch files for Neuronpedia, asserts that they give the same JSON back, and writes their names of fields, in order, to
sae-dashboard-fields.json beside it. Needs numpy and sae-dashboard 0.8.0 (`pip install --no-deps sae-dashboard==0.8.0`), whose
neuronpedia_dashboard.py is loaded by itself.
"""

import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "packages/autointerp/src/__fixtures__/neuronpedia-batch.json"


def load():
    # The package's own __init__ asks for much more than these dataclasses need.
    [place] = importlib.util.find_spec("sae_dashboard").submodule_search_locations
    path = Path(place) / "neuronpedia/neuronpedia_dashboard.py"
    spec = importlib.util.spec_from_file_location("neuronpedia_dashboard", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


module = load()
ours = json.loads(OURS.read_text())
batch = module.NeuronpediaDashboardBatch(**ours)
back = batch.to_dict()
assert back == ours, "SAEDashboard reads our batch as something else"
feature = module.NeuronpediaDashboardFeature()
fields = {
    "batch": list(module.NeuronpediaDashboardBatch().to_dict()),
    "feature": list(feature.to_dict()),
    "activation": list(module.NeuronpediaDashboardActivation().to_dict()),
}
for name, value in (("batch", ours), ("feature", ours["features"][0]), ("activation", ours["features"][0]["activations"][0])):
    assert set(value) == set(fields[name]), (name, set(value) ^ set(fields[name]))
(OURS.parent / "sae-dashboard-fields.json").write_text(json.dumps(fields) + "\n")
print("ok", len(ours["features"]), "features")
