"""The few lines of Python that open what was published."""

from __future__ import annotations

import json

from dreammake.hub.card import Card

_PIPELINE = """\
from transformers import pipeline

{name} = pipeline("{task}", model="{repo}")
print({name}({asked}))"""

_SEQ2SEQ = """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{repo}")
model = {opened}
asked = tokenizer({asked}, return_tensors="pt")
print(tokenizer.decode(model.generate(**asked)[0], skip_special_tokens=True))"""

_SENTENCES = """\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{repo}")
print(model.encode([{asked}]).shape)"""

_SETFIT = """\
from setfit import SetFitModel

model = SetFitModel.from_pretrained("{repo}")
print(model.predict([{asked}]))"""


def snippet(card: Card) -> str:
    """Python that runs as it stands, once the repository is on the Hub."""
    model = card.model
    if model is None:
        return f'from datasets import load_dataset\n\ndataset = load_dataset("{card.repo}")\nprint(dataset)'
    asked = json.dumps(model.examples[0] if model.examples else "Hello", ensure_ascii=False)
    if model.library == "sentence-transformers":
        return _SENTENCES.format(repo=card.repo, asked=asked)
    if model.library == "setfit":
        return _SETFIT.format(repo=card.repo, asked=asked)
    if model.task == "text2text-generation":
        opened = f'AutoModelForSeq2SeqLM.from_pretrained("{card.repo}")'
        return _SEQ2SEQ.format(repo=card.repo, asked=asked, opened=opened)
    if model.task == "text-generation" and model.chat:
        asked = f'[{{"role": "user", "content": {asked}}}]'
    name = {"text-generation": "generate", "text-classification": "classify"}.get(model.task, "run")
    return _PIPELINE.format(name=name, task=model.task, repo=card.repo, asked=asked)
