"""Your own model by pointing and clicking: added, its checkpoints looked at and imported, compared, tagged, deleted."""

import json
import re
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from playwright.sync_api import Page, expect
from transformers import AutoModelForCausalLM

from tests.tiny import tiny_llama

pytestmark = pytest.mark.browser
JOB_MS = 180_000


def trained(base: Path, out: Path) -> None:
    """What a trainer leaves: two checkpoints of an adapter whose weights moved."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, task_type="CAUSAL_LM"))
    for step in (100, 200):
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.data += 0.05
        model.save_pretrained(out / f"checkpoint-{step}")
        losses = [{"step": step, "loss": 3 - step / 100}]
        state = {"global_step": step, "max_steps": 200, "epoch": 1.0, "log_history": losses}
        (out / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")


def settled(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def test_a_folder_becomes_a_model_and_its_checkpoints_a_run(server: str, page: Page, tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "own-base")
    trained(base, tmp_path / "own-tune" / "out")

    page.goto(f"{server}/models?view=add")
    expect(page.get_by_text("A real model to try")).to_be_visible()
    settled(page)
    page.get_by_role("textbox", name="Folder, GGUF file or hub id").fill(str(base))
    page.keyboard.press("Enter")
    adding = page.locator(".st-key-add_model-own-base button")
    expect(adding).to_be_visible()
    settled(page)
    adding.click()
    expect(page.get_by_text("own-base is in the list.")).to_be_visible(timeout=JOB_MS)
    page.get_by_role("button", name="Show it").click()
    expect(page.get_by_text("Nothing was fine-tuned from it here yet.")).to_be_visible()

    page.get_by_role("button", name="Import checkpoints").click()
    expect(page.get_by_text("Name the folder that your training left")).to_be_visible()
    settled(page)
    page.get_by_role("textbox", name="Folders").fill(str(tmp_path / "own-tune" / "out"))
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("2 checkpoints to import")).to_be_visible()
    page.get_by_role("button", name="Import 2 checkpoints").click()
    expect(page.get_by_text("own-tune: 2 checkpoints taken in.")).to_be_visible(timeout=JOB_MS)

    page.get_by_role("link", name="Compare with the base").click()
    expect(page).to_have_url(re.compile(r"a=own-tune%40base&b=own-tune%40100%25"))
    settled(page)

    page.goto(f"{server}/models?model=own-base")
    settled(page)
    table = page.get_by_test_id("stDataFrame").last
    expect(table).to_be_visible()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 46)  # the first row's box: the table is a canvas
    page.get_by_role("button", name="Note and tags").click()
    page.get_by_role("textbox", name="Tags").fill("mine, try 1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_test_id("stButtonGroup").get_by_text("try 1")).to_be_visible()

    page.get_by_text("Room on the disk").click()
    expect(page.get_by_text(re.compile(r"^checkpoints \d+ MB"))).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Delete", exact=True).click()  # saving left the row checked
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("Nothing was fine-tuned from it here yet.")).to_be_visible()
    page.get_by_role("button", name="Remove from the list").click()
    expect(page.get_by_role("radio", name=re.compile("own-base"))).to_have_count(0)
