"""What importing 20 LoRA checkpoints takes beside reading their files and measuring their probes, in processor seconds.

`python -m tests.import_times MODEL_FOLDER [CHECKPOINTS [RANK]]`: the adapters are made on all linear layers, in a
temporary folder, with a trainer's layout. Each figure comes from a process of its own, imports left out, on one core.
“Files and probes” loads the base, reads every adapter's tensors and scores the probes of the corpus in English as often
as an import does, all on the base. The aim is an import of at most twice that.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def make_adapters(model: Path, out: Path, n: int, rank: int) -> None:
    """`checkpoint-10`, `checkpoint-20`, … as PEFT saves them."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(model)
    tuned = get_peft_model(base, LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM"))
    for number in range(1, n + 1):
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.data += 1e-3 * torch.randn_like(parameter)
        tuned.save_pretrained(out / f"checkpoint-{number * 10}")


def spent(what: str, model: Path, out: Path, work: Path) -> dict[str, float]:
    """Seconds of the processor, and of the clock."""
    import torch
    from safetensors.torch import load_file

    from engine.corpus.english import english
    from engine.domain.jobs import ImportCheckpoints, NeverCanceled, quiet
    from engine.domain.models import ModelSpec
    from engine.models import adapters, as_trained, sharing  # noqa: F401 - imported before the clock starts
    from engine.models.base import load_base
    from engine.store import Store
    from engine.training.probe_batches import prepare_probes
    from engine.training.probing import measure
    from engine.workflows import added_vocabulary, imports, run  # noqa: F401

    torch.set_num_threads(1)
    spec = ModelSpec(name="base", source="folder", location=str(model))
    store, corpus = Store(work, bundled=None), english()
    store.save_corpus(corpus)
    started, clock = time.process_time(), time.perf_counter()
    if what.startswith("import"):
        named = corpus.name if what == "import" else None
        request = ImportCheckpoints(name="theirs", folders=(str(out),), model=spec, corpus=named)
        run(store, request, quiet, NeverCanceled())
    else:
        loaded = load_base(spec)
        probes = prepare_probes(loaded.tokenizer, corpus.probes, limit=loaded.n_positions)
        if what == "files and probes":
            measure(loaded.model, probes)
        for folder in sorted(out.iterdir()):
            load_file(folder / "adapter_model.safetensors")
            if what == "files and probes":
                measure(loaded.model, probes)
    return {"processor": time.process_time() - started, "clock": time.perf_counter() - clock}


def main(model: Path, n: int, rank: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        make_adapters(model, out, n, rank)
        sys.stdout.write(
            f"{n} checkpoints of rank {rank}: {sum(one.stat().st_size for one in out.rglob('*')) / 1e6:.0f} MB" + "\n"
        )
        for what in ("files", "files and probes", "import without a corpus", "import"):
            asked = json.dumps([what, str(model), str(out), str(Path(folder, "work " + what))])
            done = subprocess.run(
                [sys.executable, "-m", "tests.import_times", "--one", asked], check=True, capture_output=True,
                text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            said = json.loads(done.stdout.splitlines()[-1])
            sys.stdout.write(
                f"{what:<24} {said['processor']:7.1f} s of the processor {said['clock']:7.1f} s by the clock" + "\n"
            )


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        kind, *paths = json.loads(sys.argv[2])
        sys.stdout.write(json.dumps(spent(kind, *(Path(path) for path in paths))) + "\n")
    else:
        main(Path(sys.argv[1]), *(int(text) for text in (*sys.argv[2:], 20, 4)[:2]))
